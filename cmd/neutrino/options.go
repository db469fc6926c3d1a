package main

import (
	"net"
	"os"
	"path/filepath"
	"strconv"

	"neutrino/config"
	"neutrino/driver/segment"
	"neutrino/nova"
	"neutrino/server"
)

// The options of configuration files are declared in options_*.go, one file a subject: a function that adds its
// options to a set. serverSettings.options and agentSettings.options list the subjects.

// neutrinoSection is the section of the options that the original does not have.
const neutrinoSection = "neutrino"

// serverSettings are what neutron.conf and ml2_conf.ini say of a server, before flags.
type serverSettings struct {
	server.Options

	bindHost     string
	bindPort     int
	debug        bool
	database     string
	authStrategy string
	who          credentialWords // of Keystone's section
	compute      computeSettings
	ovn          ovnSettings
	tls          tlsSettings
	policyFile   string // as the file has it
}

func newServerSettings() *serverSettings {
	s := &serverSettings{bindHost: "0.0.0.0", bindPort: 9696, authStrategy: "keystone", ovn: newOVNSettings(), compute: computeSettings{Options: nova.Defaults()}}
	s.StateDir = "/var/lib/neutrino"
	s.Services, s.Keystone = server.DefaultServices(), server.DefaultKeystone()
	s.Services.Network.Types = nil
	for _, t := range []segment.Type{segment.Local, segment.Flat, segment.VLAN, segment.GRE, segment.VXLAN, segment.Geneve} {
		s.Services.Network.Types = append(s.Services.Network.Types, t.Name)
	}
	return s
}

// options declares all options of a server's files, and those of agents, which neutron.conf may have too. Names and
// meaning are the original's, and so are defaults unless the help says otherwise.
func (s *serverSettings) options() *config.Set {
	o := s.own()
	o.Others("agents read it", newAgentSettings().own())
	return o
}

func (s *serverSettings) own() *config.Set {
	var o config.Set
	s.apiOptions(&o)
	s.networkOptions(&o)
	s.schedulingOptions(&o)
	logOptions(&o, &s.debug)
	s.databaseOptions(&o)
	s.keystoneOptions(&o)
	s.quotaOptions(&o)
	s.policyOptions(&o)
	s.ml2Options(&o)
	s.ovn.options(&o)
	s.computeOptions(&o)
	otherServices(&o)
	commonUnneeded(&o)
	s.neutrinoOptions(&o)
	return &o
}

// neutrinoOptions are those that the original does not have.
func (s *serverSettings) neutrinoOptions(o *config.Set) {
	o.String(&s.StateDir, neutrinoSection, "state_dir", "Where the server keeps its state: SQLite's database, the built-in identity service, the agents' secret.")
	o.String(&s.PublicURL, neutrinoSection, "public_url", "Where clients reach the server: http://HOST:PORT (default: the address it listens on).")
	o.String(&s.SecretFile, neutrinoSection, "secret_file", "What agents show (default: agent-secret in the state directory).")
}

// finish makes of the files' words what the server takes, after all files were read.
func (s *serverSettings) finish(values []config.Value) error {
	if err := s.finishML2(); err != nil {
		return err
	}
	if err := s.tls.finish(); err != nil {
		return err
	}
	if s.policyFile != "" {
		s.PolicyFile = beside(s.policyFile, values, "oslo_policy", "policy_file")
		_, err := os.Stat(s.PolicyFile)
		s.PolicyAbsent = os.IsNotExist(err)
	}
	if err := s.finishCompute(); err != nil {
		return err
	}
	return s.finishKeystone()
}

// beside makes a path absolute that a file names: it is meant from where that file is.
func beside(path string, values []config.Value, section, name string) string {
	if filepath.IsAbs(path) {
		return path
	}
	for _, v := range values {
		if v.Section == section && v.Name == name {
			path = filepath.Join(filepath.Dir(v.File()), filepath.Base(path))
		}
	}
	return path
}

// listen is the address of the files.
func (s *serverSettings) listen() string {
	return net.JoinHostPort(s.bindHost, strconv.Itoa(s.bindPort))
}
