package openflow

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"neutrino/dataplane/ovsdb/ovstest"
)

// A frame that is injected goes through the tables like any other: the flow that it meets counts it. What the switch can't read is told.
func TestInject(t *testing.T) {
	s := ovstest.Start(t)
	b := open(t, s, "br0")
	b.Set("a", []Flow{{Table: 5, Priority: 7, Match: Match{InReg(6, 3)}}})
	flush(t, b)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := Dial(ctx, "unix", s.Management("br0"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	frame := append(make([]byte, 12, 60), 0x08, 0x00)
	for range 3 {
		if err := conn.Inject(ctx, frame[:60], Actions{SetReg(6, 3), Resubmit(5)}); err != nil {
			t.Fatal(err)
		}
	}
	counted := ""
	for range 1000 {
		out, err := exec.CommandContext(ctx, "ovs-ofctl", "-O", "OpenFlow14", "dump-flows", "unix:"+s.Management("br0")).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if counted = string(out); strings.Contains(counted, "n_packets=3,") {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if !strings.Contains(counted, "n_packets=3,") {
		t.Errorf("the flow was not met by three packets:\n%s", counted)
	}

	if err := conn.Inject(ctx, frame, Actions{GotoTable(5)}); err == nil {
		t.Error("an instruction was taken for an action")
	}
	if err := conn.Inject(ctx, make([]byte, 1<<16), nil); err == nil {
		t.Error("a frame that no message can hold was taken")
	}
	var refused *Refused
	if err := conn.Inject(ctx, frame, Actions{{text: "nonsense", data: []byte{0, 99, 0, 8, 0, 0, 0, 0}}}); !errors.As(err, &refused) {
		t.Errorf("an action that the switch does not know is %v", err)
	}
	if err := conn.Inject(ctx, frame[:60], Actions{Resubmit(5)}); err != nil {
		t.Errorf("after a refusal nothing goes any more: %v", err)
	}
}
