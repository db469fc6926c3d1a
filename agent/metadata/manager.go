// Package metadata tells instances who they are: it listens at 169.254.169.254 and fe80::a9fe:a9fe in
// the namespaces of this host's routers and isolated networks, finds out which port asks, and has
// Nova answer in that instance's name, or answers by itself when there is no Nova.
//
// Who a guest is follows only from where its packets come in and their source address, which the
// switch guarantees; nothing that a guest says in its request counts.
package metadata

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"neutrino/agent"
	"neutrino/agent/dhcp"
	"neutrino/agent/localport"
	"neutrino/desired"
)

// Namespaces is what the manager needs of the host.
type Namespaces interface {
	// Identity tells one incarnation of the namespace from the next. It fails with an error that is
	// fs.ErrNotExist while there is none of that name.
	Identity(name string) (uint64, error)
	// Do runs f on a thread inside the namespace; sockets that f opens stay in it.
	Do(name string, f func() error) error
}

// Options of the manager.
type Options struct {
	Host   string      // this host's name
	Nova   *url.URL    // Nova's metadata service, e.g. http://10.0.0.1:8775; nil: we answer
	Secret string      // shared with Nova (metadata_proxy_shared_secret)
	TLS    *tls.Config // for https, optional

	Networks  dhcp.Metadata // which networks' own namespaces answer, besides routers
	NoRouters bool          // routers do not (enable_metadata_proxy is false)

	headerWait, requestWait time.Duration // how long a guest may take to say what it wants; tests have less patience
}

// Manager implements agent.Manager. Make one with New.
type Manager struct {
	options   Options
	spaces    Namespaces
	log       *slog.Logger
	dir       *directory
	handler   *handler
	listening map[listener]*running
	wake      chan struct{}
	timer     *time.Timer
}

var _ agent.Manager = (*Manager)(nil)

// listener is a place to listen at.
type listener struct {
	Namespace string
	Address   string // with port, and for link-local with its interface
	Source    Source
}

type running struct {
	identity uint64
	index    int // of the interface that it hears; 0: any
	server   *http.Server
	done     chan struct{}
}

// New makes a manager that listens nowhere yet. It refuses a Nova without a shared secret: Nova could
// not tell our requests from an instance's.
func New(options Options, spaces Namespaces, log *slog.Logger) (*Manager, error) {
	if options.Host == "" {
		return nil, errors.New("metadata: the host has no name")
	}
	if n := options.Nova; n != nil && (n.Host == "" || n.Scheme != "http" && n.Scheme != "https") {
		return nil, fmt.Errorf("metadata: %q is not an http or https address of Nova", n)
	}
	if options.Nova != nil && options.Secret == "" {
		return nil, errors.New("metadata: a secret shared with Nova is needed")
	}
	if options.headerWait == 0 {
		options.headerWait, options.requestWait = headerWait, requestWait
	}
	dir := newDirectory()
	return &Manager{
		options: options, spaces: spaces, log: log, dir: dir, handler: newHandler(dir, options, log),
		listening: map[listener]*running{}, wake: make(chan struct{}, 1),
	}, nil
}

// Name implements agent.Manager.
func (m *Manager) Name() string { return "metadata" }

// Wake fires when a namespace that was missing is worth another look.
func (m *Manager) Wake() <-chan struct{} { return m.wake }

// Counters are the requests so far.
func (m *Manager) Counters() *Counters { return m.handler.counts }

// Apply opens and closes listeners. There is nothing to report: metadata is not a condition for a
// port to be up. A place whose namespace is not there yet is looked at again a second later, and so is one that was just
// taken: who makes the namespace may have been about to make it anew.
func (m *Manager) Apply(_ context.Context, state *desired.State, change agent.Change) ([]desired.Report, error) {
	if change.Full {
		m.dir.load(state)
	} else {
		m.dir.update(state, change.Keys)
	}
	wanted := wantedListeners(state, m.options)
	for at, r := range m.listening {
		identity, err := m.spaces.Identity(at.Namespace)
		ended := false
		select {
		case <-r.done:
			ended = true
		default:
		}
		anew := false
		if change.Full && err == nil && r.index != 0 {
			index, err := m.indexOf(at)
			anew = err != nil || index != r.index
		}
		if !wanted[at] || err != nil || identity != r.identity || anew || ended {
			r.close()
			delete(m.listening, at)
		}
	}
	pending := false
	for at := range wanted {
		if m.listening[at] != nil {
			continue
		}
		r, err := m.listen(at)
		if err != nil {
			pending = true
			m.log.Debug("metadata can't be served yet", "namespace", at.Namespace, "address", at.Address, "error", err)
			continue
		}
		m.listening[at], pending = r, true
	}
	if m.timer != nil {
		m.timer.Stop()
	}
	if pending {
		m.timer = time.AfterFunc(time.Second, func() {
			select {
			case m.wake <- struct{}{}:
			default:
			}
		})
	}
	return nil, nil
}

// Close ends all listeners.
func (m *Manager) Close() {
	if m.timer != nil {
		m.timer.Stop()
	}
	for at, r := range m.listening {
		r.close()
		delete(m.listening, at)
	}
}

// wantedListeners says where to listen: for IPv4 once in a router's namespace, for IPv6 on each of
// its interfaces, which then tells the network; and on networks that no router helps.
func wantedListeners(state *desired.State, o Options) map[listener]bool {
	wanted := map[listener]bool{}
	for _, r := range state.Routers {
		if !r.AdminStateUp || o.NoRouters {
			continue
		}
		space := "qrouter-" + r.ID
		wanted[listener{space, "169.254.169.254:80", Source{Router: r.ID}}] = true
		for _, i := range r.Interfaces {
			device := "qr-" + i.PortID[:min(11, len(i.PortID))]
			wanted[listener{space, "[fe80::a9fe:a9fe%" + device + "]:80", Source{Network: i.NetworkID}}] = true
		}
	}
	for id := range state.Networks {
		p := dhcp.ServedBy(state, id, o.Host)
		if p == nil {
			continue
		}
		v4, v6 := dhcp.NeedsMetadata(state, p, o.Networks)
		if v4 {
			wanted[listener{"qdhcp-" + id, "169.254.169.254:80", Source{Network: id}}] = true
		}
		if v6 {
			wanted[listener{"qdhcp-" + id, "[fe80::a9fe:a9fe%" + dhcp.Device(p.ID) + "]:80", Source{Network: id}}] = true
		}
	}
	for id := range state.Networks {
		p := localport.Port(state, id, o.Host)
		if p == nil {
			continue
		}
		wanted[listener{localport.Prefix + id, "169.254.169.254:80", Source{Network: id}}] = true
		if localport.SpeaksIPv6(state.Networks[id]) {
			wanted[listener{localport.Prefix + id, "[fe80::a9fe:a9fe%" + dhcp.Device(p.ID) + "]:80", Source{Network: id}}] = true
		}
	}
	return wanted
}

func (m *Manager) listen(at listener) (*running, error) {
	identity, err := m.spaces.Identity(at.Namespace)
	if err != nil {
		return nil, err
	}
	index, err := m.indexOf(at)
	if err != nil {
		return nil, err
	}
	address := at.Address
	if index != 0 { // names of interfaces are remembered for a minute, whatever the namespace
		named := netip.MustParseAddrPort(address)
		address = netip.AddrPortFrom(named.Addr().WithZone(strconv.Itoa(index)), named.Port()).String()
	}
	var l net.Listener
	err = m.spaces.Do(at.Namespace, func() error {
		lc := net.ListenConfig{Control: freebind}
		l, err = lc.Listen(context.Background(), "tcp", address)
		return err
	})
	if err != nil {
		return nil, err
	}
	r := m.serve(l, at.Source)
	r.identity, r.index = identity, index
	return r, nil
}

// indexOf is the number of the interface that a listener at a link-local address hears, and hears no more when that is made
// anew; 0 for other addresses.
func (m *Manager) indexOf(at listener) (index int, err error) {
	address, err := netip.ParseAddrPort(at.Address)
	if err != nil || address.Addr().Zone() == "" {
		return 0, err
	}
	err = m.spaces.Do(at.Namespace, func() error {
		device, err := net.InterfaceByName(address.Addr().Zone())
		if err == nil {
			index = device.Index
		}
		return err
	})
	return index, err
}

// serve answers guests that come to a listener.
func (m *Manager) serve(l net.Listener, source Source) *running {
	o := m.options
	r := &running{done: make(chan struct{}), server: &http.Server{
		Handler: m.handler.of(source), ReadHeaderTimeout: o.headerWait, ReadTimeout: o.requestWait,
		WriteTimeout: novaTimeout + o.requestWait, IdleTimeout: o.requestWait, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(m.log.Handler(), slog.LevelDebug),
	}}
	go func() {
		defer close(r.done)
		if err := r.server.Serve(newBounded(l, maxListening)); !errors.Is(err, http.ErrServerClosed) {
			m.log.Error("metadata listener ended", "source", source, "error", err)
		}
	}()
	return r
}

func (r *running) close() {
	r.server.Close()
	<-r.done
}

// freebind lets a socket be bound before its address is on the interface.
func freebind(network, _ string, raw syscall.RawConn) error {
	var result error
	err := raw.Control(func(fd uintptr) {
		if network == "tcp6" {
			result = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_FREEBIND, 1)
		} else {
			result = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_FREEBIND, 1)
		}
	})
	return errors.Join(err, result)
}
