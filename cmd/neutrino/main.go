// Command neutrino is OpenStack Networking in one binary: the server, the agent of a host, and a
// cloud network in a box.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := &cobra.Command{
		Use:           "neutrino",
		Short:         "OpenStack Networking in one binary",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version(),
	}
	root.AddCommand(serverCommand(), dbCommand(), configCommand(), ovnCommand(), agentCommand(), showHostCommand(), checkCommand(), drainCommand(), undrainCommand(), explainCommand(), labCommand(), demoCommand())
	err := root.ExecuteContext(ctx)
	var status exitStatus
	switch {
	case err == nil:
	case errors.As(err, &status):
		os.Exit(int(status))
	default:
		fmt.Fprintln(os.Stderr, "neutrino:", err)
		os.Exit(1)
	}
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}

// logger writes JSON lines to standard error.
func logger(verbose bool) *slog.Logger {
	var level slog.LevelVar
	setDebug(&level, verbose)
	return levelLogger(&level)
}

// levelLogger is a logger whose level can change.
func levelLogger(level *slog.LevelVar) *slog.Logger {
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}
