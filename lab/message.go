package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Every node listens on a socket in the lab's directory. One connection carries one request: a
// message with the caller's open files, answered by one message when the work is done. A caller that
// goes away takes the command it ran with it.

// request is what a node is asked to do.
type request struct {
	Op       string   `json:"op"`                 // run, spawn, kill, services; at the center also power-off, power-on, stop
	Argv     []string `json:"argv,omitempty"`     // run, spawn
	Env      []string `json:"env,omitempty"`      // run, spawn: added to the node's own
	Instance string   `json:"instance,omitempty"` // run, spawn: inside of this instance
	Service  string   `json:"service,omitempty"`  // spawn, kill: the name under which a process is kept
	Revive   []string `json:"revive,omitempty"`   // spawn: when the process crashes it is started again, and then this command is run
	Listener bool     `json:"listener,omitempty"` // spawn at the center: hand down the API's listener as descriptor 3
	Signal   int      `json:"signal,omitempty"`   // kill
	Node     string   `json:"node,omitempty"`     // power-off, power-on
}

// answer is what came of it.
type answer struct {
	Exit     int            `json:"exit"`               // run: the command's exit status
	Services map[string]int `json:"services,omitempty"` // services: name to process id, on the node
	Error    string         `json:"error,omitempty"`
}

const maxMessage = 64 << 10

// ask sends a request to a node, with files to become the command's standard input, output and error.
func (l *Lab) ask(node string, req request, files ...*os.File) (answer, error) {
	return l.askContext(context.Background(), node, req, files...)
}

// askContext hangs up when the context ends.
func (l *Lab) askContext(ctx context.Context, node string, req request, files ...*os.File) (answer, error) {
	conn, err := l.dial(node)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	data, err := json.Marshal(req)
	if err != nil {
		return answer{}, err
	}
	if len(data) > maxMessage {
		return answer{}, errors.New("the command is too long")
	}
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	if _, _, err := conn.WriteMsgUnix(data, syscall.UnixRights(fds...), nil); err != nil {
		return answer{}, fmt.Errorf("ask %s: %w", node, err)
	}
	buf := make([]byte, maxMessage)
	n, err := conn.Read(buf)
	if ctx.Err() != nil {
		return answer{}, ctx.Err()
	}
	if err != nil {
		return answer{}, fmt.Errorf("%s went down before it answered: %w", node, err)
	}
	var a answer
	if err := json.Unmarshal(buf[:n], &a); err != nil {
		return answer{}, fmt.Errorf("answer of %s: %w", node, err)
	}
	if a.Error != "" {
		return a, fmt.Errorf("%s: %s", node, a.Error)
	}
	return a, nil
}

// dial connects to a node's socket by way of its open directory: a socket's path is short by law.
func (l *Lab) dial(node string) (*net.UnixConn, error) {
	dir, err := os.Open(l.path("sockets"))
	if err != nil {
		return nil, fmt.Errorf("lab %s: %w", l.Name, err)
	}
	defer dir.Close()
	path := filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), filepath.Base(node))
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		return nil, fmt.Errorf("node %s of lab %s is down", node, l.Name)
	}
	return conn, nil
}

// listen opens a node's socket, as a file to hand down.
func (l *Lab) listen(node string) (*os.File, error) {
	dir, err := os.Open(l.path("sockets"))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	path := filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), node)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	ln, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	ln.SetUnlinkOnClose(false)
	return ln.File()
}

// receive reads one request and the files that came with it.
func receive(conn *net.UnixConn) (request, []*os.File, error) {
	buf, oob := make([]byte, maxMessage), make([]byte, syscall.CmsgSpace(8*4))
	n, oobn, _, _, err := conn.ReadMsgUnix(buf, oob)
	if err != nil {
		return request{}, nil, err
	}
	files, err := rights(oob[:oobn])
	if err != nil {
		return request{}, files, err
	}
	req, err := decodeRequest(buf[:n])
	return req, files, err
}

// decodeRequest reads a request and refuses one that names no operation.
func decodeRequest(data []byte) (request, error) {
	var req request
	if err := json.Unmarshal(data, &req); err != nil {
		return req, fmt.Errorf("unreadable request: %w", err)
	}
	switch req.Op {
	case "run", "spawn":
		if len(req.Argv) == 0 {
			return req, fmt.Errorf("%s: no command", req.Op)
		}
	case "":
		return req, errors.New("a request names its operation")
	}
	if req.Instance != "" && !instanceName.MatchString(req.Instance) {
		return req, fmt.Errorf("instance name %q", req.Instance)
	}
	return req, nil
}

// rights takes the open files out of a control message.
func rights(oob []byte) ([]*os.File, error) {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("control message: %w", err)
	}
	var files []*os.File
	for _, m := range messages {
		fds, err := syscall.ParseUnixRights(&m)
		if err != nil {
			return files, fmt.Errorf("control message: %w", err)
		}
		for _, fd := range fds {
			syscall.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "passed"))
		}
	}
	return files, nil
}
