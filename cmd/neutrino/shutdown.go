package main

import (
	"context"
	"os/exec"
	"strings"
	"time"
)

// shuttingDown asks systemd whether the machine is going down. Where there is none, nobody knows.
func shuttingDown() bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	out, _ := exec.CommandContext(ctx, "systemctl", "is-system-running").Output() // its exit status says less than its word
	return strings.TrimSpace(string(out)) == "stopping"
}
