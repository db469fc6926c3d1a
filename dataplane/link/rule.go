package link

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
)

// rulePriority puts our rules between the table of the namespace's own addresses and the main table.
const rulePriority = 1000

// Rule sends packets of both families that have a mark to a table of routes; those that find none there go on to the
// main table.
type Rule struct {
	Mark  uint32
	Table int
}

// SetRules makes our rules exactly these. One that the kernel refuses does not stop the others: all failures are joined.
func (s *Space) SetRules(want []Rule) error {
	var failed error
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := listed(func() ([]netlink.Rule, error) { return s.h.RuleList(family) })
		if err != nil {
			return errors.Join(failed, fmt.Errorf("list the routing rules of %q: %w", s.name, err))
		}
		var have []Rule
		for _, r := range list {
			if r.Protocol != Protocol {
				continue
			}
			ours := Rule{Mark: r.Mark, Table: r.Table}
			if slices.Contains(want, ours) && !slices.Contains(have, ours) {
				have = append(have, ours)
				continue
			}
			failed = errors.Join(failed, s.write(s.h.RuleDel(&r), "remove the routing rule of mark %#x", r.Mark))
		}
		for _, r := range want {
			if !slices.Contains(have, r) {
				failed = errors.Join(failed, s.write(s.h.RuleAdd(ruleOf(family, r)), "routing rule of mark %#x", r.Mark))
			}
		}
	}
	return failed
}

func ruleOf(family int, r Rule) *netlink.Rule {
	rule := netlink.NewRule()
	rule.Family, rule.Priority, rule.Protocol = family, rulePriority, Protocol
	rule.Mark, rule.Table = r.Mark, r.Table
	return rule
}
