package plug

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"neutrino/agent/stray"
	"neutrino/dataplane/netns"
)

// Strays finds what is ours and led to places that nothing wants: namespaces whose names begin with the prefix, and
// ports of the owner on the bridge whose namespace is wanted no more and is not there either (after the machine was
// started again, say). A namespace is ours by its mark, or because a port of ours leads into it.
func (p *Plugger) Strays(v *View, prefix string, wanted func(namespace string) bool) ([]stray.Thing, error) {
	names, err := netns.List(prefix)
	if err != nil {
		return nil, err
	}
	plugged := p.Plugged(v)
	var out []stray.Thing
	for _, name := range names {
		if wanted(name) {
			continue
		}
		mark, err := netns.Mark(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // only a file of that name, or gone meanwhile
		}
		if err != nil {
			return nil, err
		}
		if mark == stray.Mark || slices.ContainsFunc(plugged, func(port Plugged) bool { return port.Namespace == name }) {
			out = append(out, stray.Thing{Kind: stray.Namespace, Name: name, Why: "nothing on this host wants it"})
		}
	}
	for _, port := range plugged {
		if strings.HasPrefix(port.Namespace, prefix) && !wanted(port.Namespace) && !slices.Contains(names, port.Namespace) {
			out = append(out, stray.Thing{Kind: stray.Port, Name: port.Outer, On: p.bridge, Why: fmt.Sprintf("it led to the namespace %s, which is not there and not wanted", port.Namespace)})
		}
	}
	return out, nil
}

// RemovePort takes a stray port off the bridge.
func (p *Plugger) RemovePort(ctx context.Context, v *View, t stray.Thing) error {
	if v.ports[t.Name].ExternalIDs[ownerKey] != p.owner {
		return fmt.Errorf("port %s on %s is not ours to remove", t.Name, p.bridge)
	}
	return p.Unplug(ctx, v, Plugged{Outer: t.Name})
}
