package inspect

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"neutrino/agent"
	"neutrino/agent/probe"
	"neutrino/agent/stray"
	"neutrino/desired"
)

// Known is what is known of a host besides what is on the machine: by its agent, or, while that does not run, by what
// it keeps in its state directory.
type Known struct {
	Layout    Layout
	Secret    string // that servers are shown
	Running   bool   // the agent runs
	Following string
	Withheld  bool // routers and DHCP are left out, for they may be on other hosts by now
	Revision  int64
	State     *desired.State
	Told      []agent.Told
	Strays    []stray.Seen
	Probes    []probe.Result
}

// FromAgent is what a running agent knows.
func FromAgent(l Layout, secret string, a *agent.Agent, strays *stray.List, probes *probe.Manager) Known {
	items, revision, withheld := a.Desired()
	return Known{
		Layout: l, Secret: secret, Running: true, Following: a.Following(), Withheld: withheld, Revision: revision, State: stateOf(items), Told: a.Told(), Strays: strays.All(), Probes: probes.Results(),
	}
}

// FromKept is what the state directory of an agent that does not run tells. Without any kept state the host is taken
// to have nothing.
func FromKept(stateDir string, l Layout, secret string) (Known, error) {
	items, revision, err := agent.Kept(stateDir, l.Host)
	if errors.Is(err, fs.ErrNotExist) {
		items, revision, err = nil, -1, nil
	}
	return Known{Layout: l, Secret: secret, Revision: revision, State: stateOf(items)}, err
}

func stateOf(items map[desired.Key]desired.Item) *desired.State {
	state := desired.NewState()
	for _, item := range items {
		state.Put(item)
	}
	return state
}

// Host compares what the host should be with what it is.
func (k Known) Host(ctx context.Context) Host {
	facts := Look(ctx, k.Layout, k.State)
	h := Host{
		Layout: k.Layout, Running: k.Running, Following: k.Following, Withheld: k.Withheld, Revision: k.Revision, Items: map[string]int{},
		Objects: Objects(k.Layout, k.State, facts, k.Told), Strays: k.Strays, Probes: k.Probes, Trouble: facts.Trouble,
	}
	for _, key := range k.State.Keys() {
		h.Items[string(key.Kind)]++
	}
	return h
}

// Check looks for what breaks networks; network "" is all.
func (k Known) Check(ctx context.Context, network string) []Finding {
	var out []Finding
	if network == "" {
		f := &findings{subject: "host"}
		f.expect(k.Running, "the agent runs", "the agent does not run", "systemctl start neutrino-agent")
		if k.Running {
			f.expect(k.Following != "", "the agent follows "+k.Following, "the agent follows no server; it goes by what it heard last", "journalctl -u neutrino-agent")
			f.expect(!k.Withheld, "the agent does all that it was told", "the agent leaves out routers and DHCP, which may be on other hosts by now, until a server answers", "bring a server up; neutrino explain says where they are")
		}
		f.expect(k.Revision >= 0, "the host knows what it should be", "the host does not know what it should be: no server has ever told it", "journalctl -u neutrino-agent")
		out = append(out, f.all...)
		ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
		defer cancel()
		out = append(out, CheckServers(ctx, k.Layout, k.Secret)...)
	}
	out = append(out, Check(k.Layout, k.State, Look(ctx, k.Layout, k.State), network)...)
	return append(out, k.probed(network)...)
}

// probed says how the host's own probes went, of one network or of all that it serves.
func (k Known) probed(network string) []Finding {
	mends := map[string]string{
		probe.DHCP: "journalctl -u neutrino-agent; " + restartAgent, probe.Metadata: "journalctl -u neutrino-agent; " + restartAgent,
		probe.Tunnel: "look at the MTU, the firewall (UDP 4789, 6081 or GRE; ICMP for this probe) and the routes between the hosts",
	}
	var out []Finding
	for _, r := range k.Probes {
		f := &findings{subject: "host"}
		if r.Probe != probe.Tunnel && !strings.HasPrefix(r.Target, "router ") {
			f.subject = "network " + r.Target
		}
		if network != "" && f.subject != "network "+network {
			continue
		}
		what := map[string]string{probe.DHCP: "DHCP", probe.Metadata: "metadata", probe.Tunnel: "host " + r.Target + ", by tunnel packets of full size,"}[r.Probe]
		if strings.HasPrefix(r.Target, "router ") {
			what += " of " + r.Target
		}
		f.expect(r.OK, what+" answers", what+" does not answer: "+r.Reason, mends[r.Probe])
		out = append(out, f.all...)
	}
	slices.SortStableFunc(out, func(a, b Finding) int { return strings.Compare(a.Subject, b.Subject) })
	return out
}

// Tidier is a manager that finds strays.
type Tidier interface {
	// FindStrays finds what bears the manager's mark and nothing in the state wants. It changes nothing.
	FindStrays(ctx context.Context, state *desired.State) ([]stray.Thing, error)
}
