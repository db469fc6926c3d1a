package main

import (
	"fmt"
	"net"
	"os"

	"github.com/spf13/cobra"

	"neutrino/server"
	"neutrino/service/network"
)

// serverCommand is `neutrino server`.
func serverCommand() *cobra.Command {
	o := server.Options{Network: network.Defaults()}
	var listen []string
	var fds []int
	var verbose bool
	cmd := &cobra.Command{
		Use:   "server",
		Short: "The Networking API, the identity service, and the hub that agents follow",
		Long: `Serve the Networking API. State is kept in the state directory: an SQLite database, the users and
projects of the built-in identity service (identity.yaml), policy.yaml if there is one, the secret
that agents show, and a clouds.yaml with which openstack --os-cloud just works. What is not there is
made at the first start.`,
		Example: `  neutrino server --state-dir /var/lib/neutrino --listen 192.0.2.1:9696 --public-url http://192.0.2.1:9696
  OS_CLIENT_CONFIG_FILE=/var/lib/neutrino/clouds.yaml openstack --os-cloud neutrino-admin network list`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Log = logger(verbose)
			for _, fd := range fds {
				file := os.NewFile(uintptr(fd), fmt.Sprintf("listener %d", fd))
				l, err := net.FileListener(file)
				if err != nil {
					return fmt.Errorf("file descriptor %d is no listener: %w", fd, err)
				}
				o.Listeners = append(o.Listeners, l)
			}
			if len(listen) == 0 && len(fds) == 0 {
				listen = []string{"127.0.0.1:9696"}
			}
			for _, addr := range listen {
				l, err := net.Listen("tcp", addr)
				if err != nil {
					return fmt.Errorf("listen: %w", err)
				}
				o.Listeners = append(o.Listeners, l)
			}
			if o.PublicURL == "" {
				o.PublicURL = "http://" + o.Listeners[0].Addr().String()
			}
			return server.Run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.StateDir, "state-dir", "/var/lib/neutrino", "where the server keeps its state")
	f.StringArrayVar(&listen, "listen", nil, "address to listen on, HOST:PORT; may be given several times (default 127.0.0.1:9696)")
	f.IntSliceVar(&fds, "listen-fd", nil, "file descriptor of a listener that was opened before")
	f.StringVar(&o.PublicURL, "public-url", "", "where clients reach the server (default: the first address)")
	f.StringVar(&o.PolicyFile, "policy-file", "", "policy overrides (default: policy.yaml in the state directory)")
	f.StringVar(&o.SecretFile, "agent-secret-file", "", "what agents show (default: agent-secret in the state directory)")
	f.BoolVar(&verbose, "verbose", false, "log more")
	return cmd
}
