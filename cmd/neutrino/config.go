package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"neutrino/config"
)

// configFlags say which files are read.
type configFlags struct {
	files, dirs []string
	etc         string
	names       []string // of the files in etc
}

// The files that the original's programs have in /etc/neutron.
var (
	serverFiles = []string{"neutron.conf", "plugins/ml2/ml2_conf.ini"}
	agentFiles  = []string{"neutron.conf", "plugins/ml2/openvswitch_agent.ini", "l3_agent.ini", "dhcp_agent.ini", "metadata_agent.ini"}
)

func (c *configFlags) add(f *pflag.FlagSet) {
	f.StringVar(&c.etc, "etc", "", "directory such as /etc/neutron of which the files with the original's names are read that are there: "+strings.Join(c.names, ", "))
	f.StringArrayVar(&c.files, "config-file", nil, "configuration file of Neutron, such as neutron.conf; may be given several times, later ones win")
	f.StringArrayVar(&c.dirs, "config-dir", nil, "directory whose *.conf files are read after the others")
}

// given says whether any file is read.
func (c *configFlags) given() bool { return len(c.files)+len(c.dirs) > 0 || c.etc != "" }

// load reads the files into options; what they say is given back in the order of the files.
func (c *configFlags) load(options *config.Set) ([]config.Value, error) {
	var files []string
	if c.etc != "" {
		for _, name := range c.names {
			path := filepath.Join(c.etc, filepath.FromSlash(name))
			if _, err := os.Stat(path); err == nil {
				files = append(files, path)
			}
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("--etc: %s has none of %s", c.etc, strings.Join(c.names, ", "))
		}
	}
	files, err := config.Files(append(files, c.files...), c.dirs)
	if err != nil {
		return nil, err
	}
	return options.Load(files)
}

// configCommand is `neutrino config`.
func configCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Configuration files of servers and agents"}
	flags := configFlags{names: serverFiles}
	var asJSON, ofAgent bool
	check := &cobra.Command{
		Use:   "check",
		Short: "Explain a set of configuration files",
		Long: `Read configuration files as the server would, or with --agent as an agent would, and tell of each option
whether it is taken, overridden, not needed, not supported, or unknown. The status is 1 when a value is
wrong, and 2 when an option is unknown or asks for what is not supported.`,
		Example: `  neutrino config check --config-file /etc/neutron/neutron.conf --config-file /etc/neutron/plugins/ml2/ml2_conf.ini
  neutrino config check --agent --config-file /etc/neutron/neutron.conf --config-file /etc/neutron/plugins/ml2/openvswitch_agent.ini
  neutrino config check --config-file neutron.conf --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !flags.given() {
				return errors.New("give --config-file, --config-dir or --etc")
			}
			if ofAgent {
				flags.names = agentFiles
			}
			values, err := checkFiles(flags, ofAgent)
			if err := explain(cmd.OutOrStdout(), values, err, asJSON); err != nil {
				return err
			}
			if err != nil {
				return err
			}
			for _, v := range values {
				if v.Warns() {
					return exitStatus(2)
				}
			}
			return nil
		},
	}
	flags.add(check.Flags())
	check.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	check.Flags().BoolVar(&ofAgent, "agent", false, "the files are an agent's")
	cmd.AddCommand(check)
	return cmd
}

// checkFiles reads files as the server would, or an agent.
func checkFiles(flags configFlags, ofAgent bool) ([]config.Value, error) {
	if ofAgent {
		s := newAgentSettings()
		values, err := flags.load(s.options())
		if err == nil {
			err = s.finish()
		}
		return values, err
	}
	s := newServerSettings()
	values, err := flags.load(s.options())
	if err == nil {
		err = s.finish(values)
	}
	return values, err
}

// explain writes what files say.
func explain(out io.Writer, values []config.Value, wrong error, asJSON bool) error {
	if asJSON {
		answer := struct {
			Options []config.Value `json:"options"`
			Error   string         `json:"error,omitempty"`
		}{Options: values}
		if wrong != nil {
			answer.Error = wrong.Error()
		}
		return json.NewEncoder(out).Encode(answer)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, v := range values {
		fmt.Fprintf(w, "%s\t[%s] %s = %q\t%s\n", v.Place, v.Section, v.Name, v.Value, v.Note)
	}
	return w.Flush()
}
