package netns

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"neutrino/dataplane/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

func TestLife(t *testing.T) {
	for range 2 {
		if err := Create("a-1", "mine"); err != nil {
			t.Fatal(err)
		}
	}
	first, err := Identity("a-1")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ip", "netns", "exec", "a-1", "true").CombinedOutput(); err != nil {
		t.Fatalf("ip does not know it: %v %s", err, out)
	}
	if out, err := exec.Command("ip", "netns", "add", "a-2").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	for name, want := range map[string]string{"a-1": "mine", "a-2": ""} {
		if mark, err := Mark(name); err != nil || mark != want {
			t.Errorf("the mark of %s is %q, not %q: %v", name, mark, want, err)
		}
	}
	if names, err := List("a-"); err != nil || !slices.Equal(names, []string{"a-1", "a-2"}) {
		t.Fatalf("List: %v %v", names, err)
	}
	for _, name := range []string{"a-1", "a-2", "a-2"} {
		if err := Delete(name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Identity("a-1"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("Identity of a deleted one: %v", err)
	}
	if err := Do("a-1", func() error { return nil }); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("Do in a deleted one: %v", err)
	}
	// A file that was left without its namespace is no namespace.
	if err := os.WriteFile("/run/netns/a-1", nil, 0o444); err != nil {
		t.Fatal(err)
	}
	if err := Create("a-1", "mine"); err != nil {
		t.Fatal(err)
	}
	defer Delete("a-1")
	if again, err := Identity("a-1"); err != nil || again == first {
		t.Fatalf("the second incarnation is %d like the first, %v", again, err)
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{"", ".", "..", "a/b", "../x", "a\x00"} {
		if Create(name, "mine") == nil {
			t.Errorf("Create(%q) worked", name)
		}
		if Delete(name) == nil {
			t.Errorf("Delete(%q) worked", name)
		}
	}
}

func TestThreadsComeBack(t *testing.T) {
	if err := Create("t", "mine"); err != nil {
		t.Fatal(err)
	}
	defer Delete("t")
	here := inode(t)
	for range 20 {
		var there uint64
		if err := Do("t", func() error { there = inode(t); return nil }); err != nil {
			t.Fatal(err)
		}
		if there == here {
			t.Fatal("Do did not switch")
		}
	}
	failure := errors.New("no")
	if err := Do("t", func() error { return failure }); !errors.Is(err, failure) {
		t.Fatalf("Do: %v", err)
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		var st unix.Stat_t
		if err := unix.Stat("/proc/self/task/"+task.Name()+"/ns/net", &st); err == nil && st.Ino != here {
			t.Errorf("thread %s stayed in another namespace", task.Name())
		}
	}
}

func inode(t *testing.T) uint64 {
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		t.Error(err)
	}
	return st.Ino
}

func TestSockets(t *testing.T) {
	if err := Create("s", "mine"); err != nil {
		t.Fatal(err)
	}
	defer Delete("s")
	l, err := Listen(t.Context(), "s", "tcp4", "169.254.169.254:80", Socket{Freebind: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 2 {
		c, err := ListenPacket(t.Context(), "s", "udp4", "0.0.0.0:67", Socket{Device: "lo", Reuse: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	f, err := ListenFrames("s", "lo", unix.ETH_P_ALL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := net.Dial("tcp4", "169.254.169.254:80"); err == nil {
		t.Error("a listener inside was reached from outside")
	}
}
