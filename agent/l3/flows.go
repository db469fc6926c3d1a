package l3

import (
	"slices"

	"neutrino/dataplane/link"
)

// stale says whether a flow, which keeps the translation that it began with, would be translated or
// judged otherwise if it began now. One that left as the router goes on when its sender gets a floating IP.
func (p *plan) stale(f link.Flow) bool {
	source, target := f.Source, f.Target.Addr()
	if source.Is6() && target.Is6() { // not translated
		return p.answers && !p.leadsInside(source) && p.leadsInside(target) && !slices.Contains(p.proxied, target)
	}
	if !source.Is4() || !target.Is4() || target == metadata4 {
		return false // metadata is answered here
	}
	mapped := f.SeenTarget != f.Target
	switch to, ok := p.leadsTo(f.Target, f.Protocol); {
	case mapped && (!ok || to != f.SeenTarget):
		return true // the floating IP went elsewhere
	case !mapped && ok:
		return true // it came
	case f.SeenSource != source:
		return !p.leavesAs(source, f.SeenSource, mapped)
	}
	// Between inside and outside nothing passes as it is when there is SNAT.
	return p.translates() && !mapped && p.leadsInside(source) != p.leadsInside(target)
}
