package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"neutrino/agent/inspect"
	"neutrino/agent/stray"
)

const agentStateDir = "/var/lib/neutrino-agent"

// known is what an agent that does not run has left in its state directory.
func known(stateDir, secretFile string) (inspect.Known, error) {
	layout, err := inspect.ReadLayout(stateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return inspect.Known{}, fmt.Errorf("no agent has run on this host with the state directory %s: start it, or give its --state-dir", stateDir)
	}
	if err != nil {
		return inspect.Known{}, err
	}
	secret, err := os.ReadFile(secretFile)
	if err != nil {
		secret = nil // the servers will say what is wrong
	}
	return inspect.FromKept(stateDir, layout, strings.TrimSpace(string(secret)))
}

// showHostCommand is `neutrino show-host`.
func showHostCommand() *cobra.Command {
	var stateDir string
	var from reportedBy
	var asJSON, all bool
	files := configFlags{names: agentFiles}
	cmd := &cobra.Command{
		Use:   "show-host [HOST]",
		Short: "Show what this host should be, what it is, and what differs",
		Long: `Show, on a host, what the server wants of it (ports, networks, routers), what is on the machine, and what
differs, since when and why. The running agent is asked, by a socket in its state directory; while it
does not run, what it has kept is compared with the machine. HOST, when given, must be this host: it
keeps commands from being run on the wrong one.

With --server, from anywhere that has the agents' secret: what that server wants of HOST, and what HOST
has reported to it. An https server is checked as the agent's files say ([neutrino] cafile), or by --cafile.

The exit status is 0 when nothing differs, 1 when something does.`,
		Example: `  neutrino show-host
  neutrino show-host compute-1 --all
  neutrino show-host compute-1 --server http://192.0.2.1:9696 --secret-file /var/lib/neutrino/agent-secret
  ssh compute-1 neutrino show-host --json | jq '.objects[] | select(.difference)'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if from.server != "" {
				if len(args) == 0 {
					return errors.New("--server: which HOST?")
				}
				if err := from.configured(cmd.Flags(), &files, stateDir); err != nil {
					return err
				}
				return showReported(cmd.Context(), cmd.OutOrStdout(), from, args[0], asJSON, all)
			}
			h, err := askHost(cmd.Context(), stateDir)
			if err != nil {
				return err
			}
			if len(args) == 1 && args[0] != h.Host {
				return fmt.Errorf("this is %s: run the command on %s (ssh %s neutrino show-host)", h.Host, args[0], args[0])
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), h)
			} else {
				err = printHost(cmd.OutOrStdout(), h, all)
			}
			if err != nil {
				return err
			}
			if len(h.Trouble) > 0 || slices.ContainsFunc(h.Objects, func(o inspect.Object) bool { return len(o.Differs) > 0 }) {
				return exitStatus(1)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&stateDir, "state-dir", agentStateDir, "the agent's state directory")
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	cmd.Flags().StringVar(&from.server, "server", "", "base URL of a server to ask, in place of the host itself")
	cmd.Flags().StringVar(&from.secretFile, "secret-file", "/etc/neutrino/agent-secret", "with --server: file with the agents' secret")
	cmd.Flags().StringVar(&from.cafile, "cafile", "", "with --server: certificates by which an https server's is checked (default: what the files say, or the system's)")
	files.add(cmd.Flags())
	cmd.Flags().BoolVar(&all, "all", false, "show also what is as it should be")
	return cmd
}

func askHost(ctx context.Context, stateDir string) (inspect.Host, error) {
	if c, err := inspect.Dial(ctx, stateDir); err == nil {
		return c.Host(ctx)
	}
	k, err := known(stateDir, "")
	if err != nil {
		return inspect.Host{}, err
	}
	return k.Host(ctx), nil
}

// printHost writes for people; with all also what is right.
func printHost(out io.Writer, h inspect.Host, all bool) error {
	agent := "does not run; compared with what it has kept"
	switch {
	case h.Running && h.Following != "":
		agent = "runs and follows " + h.Following
	case h.Running:
		agent = "runs and follows no server: it goes by what it heard last"
	}
	fmt.Fprintf(out, "host %s: the agent %s (revision %d)\n", h.Host, agent, h.Revision)
	if h.Withheld {
		fmt.Fprintln(out, "routers and DHCP are left out, for they may be on other hosts by now, until a server answers")
	}
	var counts []string
	for kind, n := range h.Items {
		counts = append(counts, fmt.Sprintf("%d %s", n, kind))
	}
	slices.Sort(counts)
	fmt.Fprintf(out, "desired: %s\n", cmp.Or(strings.Join(counts, ", "), "nothing"))
	different := 0
	for _, o := range h.Objects {
		if len(o.Differs) > 0 {
			different++
		}
		if len(o.Differs) == 0 && !all {
			continue
		}
		fmt.Fprintf(out, "\n%s %s\n  desired: %s\n  actual:  %s\n", o.Kind, o.ID, strings.Join(o.Desired, ", "), cmp.Or(strings.Join(o.Actual, ", "), "nothing"))
		for _, d := range o.Differs {
			fmt.Fprintf(out, "  differs: %s%s\n", d.What, since(d.Since))
		}
	}
	for _, t := range h.Trouble {
		fmt.Fprintf(out, "\ncould not be read: %s\n", t)
	}
	for _, p := range h.Probes {
		if !p.OK {
			fmt.Fprintf(out, "\nprobe of %s %s fails: %s%s\n", p.Probe, p.Target, p.Reason, since(p.Since))
		}
	}
	_, err := fmt.Fprintf(out, "\n%d of %d objects differ; %d strays\n", different, len(h.Objects), len(h.Strays))
	return err
}

func since(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return fmt.Sprintf(" (since %s, %s)", t.Format(time.RFC3339), time.Since(t).Round(time.Second))
}

// checkCommand is `neutrino check`.
func checkCommand() *cobra.Command {
	var stateDir, secretFile, network string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Find what breaks this host's networks, and how to mend it",
		Long: `Look, on a host, at everything between its networks and their cables, as the original's guide has operators do
it by hand: Open vSwitch and its datapath, tunnels and their MTU, the servers, the secret and the clock;
and for each network the bridge mapping, the bridge, the patch ports, the flows that change its
VLAN, the physical interface and its state, and the namespaces. With firewall_driver = iptables_hybrid also the
kernel's br_netfilter, and the bridges and nftables rules of ports. What is broken comes with its mend.
The running agent is asked; while it does not run, what it has kept is used.

The exit status is 0 when all is well, 1 when something is broken.`,
		Example: `  neutrino check
  neutrino check --network 6f0e5f0e-… --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			found, err := askCheck(cmd.Context(), stateDir, secretFile, network)
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), found)
			} else {
				err = printFindings(cmd.OutOrStdout(), found)
			}
			if err != nil {
				return err
			}
			if slices.ContainsFunc(found, func(f inspect.Finding) bool { return !f.OK }) {
				return exitStatus(1)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&stateDir, "state-dir", agentStateDir, "the agent's state directory")
	cmd.Flags().StringVar(&secretFile, "secret-file", "/etc/neutrino/agent-secret", "file with the secret, for while the agent does not run")
	cmd.Flags().StringVar(&network, "network", "", "id of the only network to look at")
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	return cmd
}

func askCheck(ctx context.Context, stateDir, secretFile, network string) ([]inspect.Finding, error) {
	if c, err := inspect.Dial(ctx, stateDir); err == nil {
		return c.Check(ctx, network)
	}
	k, err := known(stateDir, secretFile)
	if err != nil {
		return nil, err
	}
	return k.Check(ctx, network), nil
}

func printFindings(out io.Writer, found []inspect.Finding) (err error) {
	subject := ""
	for _, f := range found {
		if f.Subject != subject {
			subject = f.Subject
			fmt.Fprintln(out, subject)
		}
		if f.OK {
			_, err = fmt.Fprintf(out, "  ✓ %s\n", f.What)
		} else {
			_, err = fmt.Fprintf(out, "  ✗ %s\n    → %s\n", f.What, f.Mend)
		}
	}
	return err
}

// straysCommand is `neutrino agent strays`.
func straysCommand() *cobra.Command {
	var stateDir string
	var dryRun, remove, asJSON bool
	cmd := &cobra.Command{
		Use:   "strays",
		Short: "List what is left over on this host, or remove it now",
		Long: `List what bears our mark on this host and nothing wants any more: namespaces, ports of bridges, flows. The agent
removes each when its time of grace is over; --remove has it done now. What does not bear our mark is
never listed nor touched.`,
		Example: `  neutrino agent strays --dry-run
  neutrino agent strays --remove`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dryRun && remove {
				return errors.New("--dry-run and --remove exclude each other")
			}
			list, err := askStrays(cmd.Context(), stateDir, remove)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), list)
			}
			return printStrays(cmd.OutOrStdout(), list, remove)
		},
	}
	cmd.Flags().StringVar(&stateDir, "state-dir", agentStateDir, "the agent's state directory")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only list (what is done without --remove too)")
	cmd.Flags().BoolVar(&remove, "remove", false, "remove them now; what is listed then could not be removed")
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	return cmd
}

func askStrays(ctx context.Context, stateDir string, remove bool) ([]stray.Seen, error) {
	if c, err := inspect.Dial(ctx, stateDir); err == nil {
		return c.Strays(ctx, remove)
	}
	if remove {
		return nil, errors.New("the agent does not run: what it would want can't be known for sure, so nothing is removed; start it")
	}
	k, err := known(stateDir, "")
	if err != nil {
		return nil, err
	}
	if k.Revision < 0 {
		return nil, errors.New("the agent does not run, and has kept nothing: what is a stray can't be known")
	}
	l := k.Layout
	o := defaultHost()
	o.host, o.tunnelIP, o.mappings, o.stateDir, o.roles, o.datapath, o.runDir = l.Host, l.TunnelIP, l.Mappings, stateDir, l.Roles, l.Datapath, l.RunDir
	managers, closeAll, err := hostManagers(o, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer closeAll()
	list := []stray.Seen{}
	for _, m := range managers {
		t, ok := m.(inspect.Tidier)
		if !ok {
			continue
		}
		things, err := t.FindStrays(ctx, k.State)
		if err != nil {
			return nil, err
		}
		for _, thing := range things {
			list = append(list, stray.Seen{Thing: thing, Owner: m.Name()})
		}
	}
	return list, nil
}

func printStrays(out io.Writer, list []stray.Seen, removed bool) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "no strays")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KIND\tNAME\tON\tAGE\tWHAT HAPPENS\tWHY")
	for _, s := range list {
		age, then := "unknown", "removed some time after the agent starts"
		if !s.Since.IsZero() {
			age = time.Since(s.Since).Round(time.Second).String()
			then = "removed in " + max(time.Until(s.Due), 0).Round(time.Second).String()
		}
		if removed || s.Error != "" {
			then = "could not be removed: " + cmp.Or(s.Error, "the manager has not come to it")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", s.Kind, s.Name, s.On, age, then, s.Why)
	}
	return w.Flush()
}
