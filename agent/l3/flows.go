package l3

import "neutrino/dataplane/link"

// stale says whether a flow, which keeps the translation that it began with, would be translated or
// judged otherwise if it began now. One that left as the router goes on when its sender gets a floating IP.
func (p *plan) stale(f link.Flow) bool {
	if !f.Source.Is4() || !f.Target.Is4() || f.Target == metadata4 {
		return false // IPv6 is not translated, metadata is answered here
	}
	mapped := f.SeenTarget != f.Target
	switch {
	case mapped && p.floating[f.Target] != f.SeenTarget:
		return true // the floating IP went elsewhere
	case !mapped && p.floating[f.Target].IsValid():
		return true // it came
	case f.SeenSource != f.Source:
		asRouter := f.SeenSource == p.outer && (p.snat || mapped)
		return !asRouter && p.sources[f.Source] != f.SeenSource
	}
	// Between inside and outside nothing passes as it is when there is SNAT.
	return p.snat && !mapped && p.leadsInside(f.Source) != p.leadsInside(f.Target)
}
