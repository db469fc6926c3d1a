package storetest

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// process is a database server in a directory of its own. Both are looked after by a shell that
// notices the end of the test program by the end of its input.
type process struct {
	dir        string
	command    []string
	signal     string // that ends the server at once
	credential *syscall.Credential
	shell      *exec.Cmd
	input      io.Closer
}

// look is the shell's script: $1 is the directory, $2 the signal, the rest the server.
const look = `dir=$1 signal=$2; shift 2
"$@" </dev/null >>"$dir/log" 2>&1 &
read -r word
kill -"$signal" $! && wait $! 2>/dev/null
[ "$word" = keep ] || rm -rf "$dir"`

// find gives a program's path; distributions keep some outside of the search path.
func find(program, elsewhere string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	found, err := filepath.Glob(filepath.Join(elsewhere, program))
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("%s is not installed: run scripts/install test", program)
	}
	return found[len(found)-1], nil
}

// start makes a directory, prepares it and starts a server in it. Database servers refuse to run as
// root: then they run as account, or as nobody.
func start(account, signal string, commands func(dir string) (prepare, serve []string)) (*process, error) {
	dir, err := os.MkdirTemp("", "neutrino-db-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o711); err != nil { // servers of a lab have another user
		return nil, err
	}
	p := &process{dir: dir, signal: signal}
	if os.Getuid() == 0 {
		if p.credential, err = credential(account); err != nil {
			return nil, err
		}
		if err := os.Chown(dir, int(p.credential.Uid), int(p.credential.Gid)); err != nil {
			return nil, err
		}
	}
	prepare, serve := commands(dir)
	p.command = serve
	cmd := exec.Command(prepare[0], prepare[1:]...)
	cmd.Dir, cmd.Env = dir, ownTemporary(dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.credential}
	if out, err := cmd.CombinedOutput(); err != nil {
		if len(out) > 2000 {
			out = out[:2000]
		}
		return nil, errors.Join(fmt.Errorf("%s: %w\n%s", prepare[0], err, out), os.RemoveAll(dir))
	}
	return p, p.serve()
}

func credential(account string) (*syscall.Credential, error) {
	u, err := user.Lookup(account)
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func (p *process) serve() error {
	p.shell = exec.Command("sh", append([]string{"-c", look, "sh", p.dir, p.signal}, p.command...)...)
	p.shell.Dir, p.shell.Env = p.dir, ownTemporary(p.dir)
	// A group of its own: an interrupt from the terminal must not end the shell before it has cleaned up.
	p.shell.SysProcAttr = &syscall.SysProcAttr{Credential: p.credential, Setpgid: true}
	input, err := p.shell.StdinPipe()
	if err != nil {
		return err
	}
	p.input = input
	if err := p.shell.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.command[0], err)
	}
	return nil
}

// ownTemporary is an environment in which temporary files are kept in dir. A MariaDB server that starts
// removes what it takes for leftovers of a crash from its directory for temporary tables: another server's
// tables, if they share it, so that any statement of the other may fail.
func ownTemporary(dir string) []string { return append(os.Environ(), "TMPDIR="+dir) }

// kill ends the server and keeps its data.
func (p *process) kill() error {
	if _, err := io.WriteString(p.input.(io.Writer), "keep\n"); err != nil {
		return err
	}
	if err := p.shell.Wait(); err != nil {
		return fmt.Errorf("end %s: %w", p.command[0], err)
	}
	return nil
}

// wait waits for the server's first answer.
func (p *process) wait(driver, dsn string) error {
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	for range 600 {
		if err = db.Ping(); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	text, _ := os.ReadFile(filepath.Join(p.dir, "log"))
	return fmt.Errorf("%s does not answer: %w\n%s", p.command[0], err, bytes.TrimSpace(text))
}
