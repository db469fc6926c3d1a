package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"neutrino/config"
	"neutrino/server"
	"neutrino/service/network"
	"neutrino/store"
)

// serverCommand is `neutrino server`.
func serverCommand() *cobra.Command {
	var o server.Options // what flags say
	files := configFlags{names: serverFiles}
	var listen, vlans []string
	var fds []int
	var verbose, upgrade bool
	var database databaseFlags
	cmd := &cobra.Command{
		Use:   "server",
		Short: "The Networking API, the identity service, and the hub that agents follow",
		Long: `Serve the Networking API. State is kept in the state directory: an SQLite database unless --database
names another, the users and projects of the built-in identity service (identity.yaml), policy.yaml
if there is one, the secret that agents show, and a clouds.yaml with which openstack --os-cloud just
works. What is not there is made at the first start.

Several servers may run on one PostgreSQL or MariaDB database. Its schema is made and brought up to
date by "neutrino db upgrade", or by the first server that starts with --auto-upgrade; SQLite's is
brought up to date at every start.

Files that operators of Neutron have are read by --config-file: neutron.conf with [keystone_authtoken],
[database] and so on, and ml2_conf.ini. Flags win over files. docs/configuration.md lists the options,
and "neutrino config check" explains a set of files. SIGHUP reads them again; policy files are read
whenever they change.`,
		Example: `  neutrino server --state-dir /var/lib/neutrino --listen 192.0.2.1:9696 --public-url http://192.0.2.1:9696
  neutrino server --config-file /etc/neutron/neutron.conf --config-file /etc/neutron/plugins/ml2/ml2_conf.ini
  neutrino server --database postgresql://neutrino@db.example.org/neutrino --database-password-file /etc/neutrino/db-password
  OS_CLIENT_CONFIG_FILE=/var/lib/neutrino/clouds.yaml openstack --os-cloud neutrino-admin network list`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			read := func() (*serverSettings, []config.Value, error) {
				s := newServerSettings()
				values, err := files.load(s.options())
				if err == nil {
					err = s.finish(values)
				}
				return s, values, err
			}
			settings, values, err := read()
			if err != nil {
				return err
			}
			var level slog.LevelVar
			setDebug(&level, verbose || settings.debug)
			o.Log = levelLogger(&level)
			logValues(o.Log, values)
			if settings.PolicyAbsent && o.PolicyFile == "" {
				o.Log.Warn("the policy file is not there; the defaults are in force until it is", "file", settings.PolicyFile)
			}
			defer onHangup(o.Log, values, func() ([]config.Value, map[string]func(), error) {
				fresh, values, err := read()
				if err != nil {
					return values, nil, err
				}
				return values, map[string]func(){
					"[DEFAULT] debug": func() { setDebug(&level, verbose || fresh.debug) },
				}, nil
			})()
			if database.url == "" {
				database.url = settings.database
			}
			if o.PolicyFile == "" {
				o.PolicyFile, o.PolicyAbsent = settings.PolicyFile, settings.PolicyAbsent
			}
			if !cmd.Flags().Changed("state-dir") {
				o.StateDir = settings.StateDir
			}
			if o.SecretFile == "" {
				o.SecretFile = settings.SecretFile
			}
			if o.PublicURL == "" {
				o.PublicURL = strings.TrimSuffix(settings.PublicURL, "/")
			}
			secure, err := settings.tls.load()
			if err != nil {
				return err
			}
			o.Services, o.Keystone, o.TrustProxy, o.MaxLimit, o.OVN, o.Nova = settings.Services, settings.Keystone, settings.TrustProxy, settings.MaxLimit, settings.OVN, settings.Nova
			if o.Database.Source, err = database.source(o.StateDir); err != nil {
				return err
			}
			o.Database.AutoUpgrade = upgrade || o.Database.Source.Kind == store.SQLite && !cmd.Flags().Changed("auto-upgrade")
			if err := network.ParseVLANRanges(vlans, o.Services.Network.VLANs); err != nil {
				return fmt.Errorf("--vlan-ranges: %w", err)
			}
			for _, fd := range fds {
				file := os.NewFile(uintptr(fd), fmt.Sprintf("listener %d", fd))
				l, err := net.FileListener(file)
				if err != nil {
					return fmt.Errorf("file descriptor %d is no listener: %w", fd, err)
				}
				o.Listeners = append(o.Listeners, l)
			}
			switch {
			case len(listen) > 0:
			case files.given():
				listen = []string{settings.listen()}
			case len(fds) == 0:
				listen = []string{"127.0.0.1:9696"}
			}
			for _, addr := range listen {
				l, err := net.Listen("tcp", addr)
				if err != nil {
					return fmt.Errorf("listen: %w", err)
				}
				o.Listeners = append(o.Listeners, l)
			}
			scheme := "http://"
			if secure != nil {
				scheme = "https://"
				for i, l := range o.Listeners {
					o.Listeners[i] = tls.NewListener(l, secure)
				}
			}
			if o.PublicURL == "" {
				o.PublicURL = scheme + o.Listeners[0].Addr().String()
			}
			return server.Run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.StateDir, "state-dir", "/var/lib/neutrino", "where the server keeps its state")
	files.add(f)
	database.add(f)
	f.BoolVar(&upgrade, "auto-upgrade", false, "bring an older database schema up to date at the start (default for SQLite; --auto-upgrade=false to refuse)")
	f.StringArrayVar(&listen, "listen", nil, "address to listen on, HOST:PORT; may be given several times (default 127.0.0.1:9696, or what the configuration files say)")
	f.IntSliceVar(&fds, "listen-fd", nil, "file descriptor of a listener that was opened before")
	f.StringVar(&o.PublicURL, "public-url", "", "where clients reach the server (default: the first address)")
	f.StringVar(&o.PolicyFile, "policy-file", "", "policy overrides (default: policy.yaml in the state directory)")
	f.StringVar(&o.SecretFile, "agent-secret-file", "", "file with what agents show (default: agent-secret in the state directory)")
	f.StringSliceVar(&vlans, "vlan-ranges", nil, "physical networks with VLANs, and the VLAN ids that networks may take by themselves: physnet1:100:199,physnet2")
	f.BoolVar(&verbose, "verbose", false, "log more")
	return cmd
}
