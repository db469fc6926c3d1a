package hybrid

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"neutrino/agent"
	"neutrino/agent/l2"
	"neutrino/dataplane/link"
	"neutrino/dataplane/nft"
	"neutrino/desired"
)

// Found is what is on a host of this firewall, for people. It is read anew, and compared with what the rules should be.
type Found struct {
	Settings map[string]string   `json:"settings"`                 // of br_netfilter, for all bridges; null: it is not loaded
	Tables   map[string]Size     `json:"tables"`                   // that are ours, and there
	Filtered map[string]bool     `json:"filtered"`                 // bridges of ports: their packets are shown to the tables of IP
	Wrong    []string            `json:"wrong,omitempty"`          // of what ports share: groups' chains, members, and what nobody wants
	WrongOf  map[string][]string `json:"wrong_of_ports,omitempty"` // of a port's own rules
}

// Size is how much is in a table.
type Size struct {
	Chains int `json:"chains"`
	Sets   int `json:"sets"` // and maps
}

// Devices are the names of the devices of a port with that id between an instance and br-int.
func Devices(port string) (tap, bridge, inside string, err error) {
	if err := checkID("port", port); err != nil {
		return "", "", "", err
	}
	return device(tapPrefix, port), device(bridgePrefix, port), device(insidePrefix, port), nil
}

// Before says whether a port that is plugged into br-int by a device of that name is kept to its rules by this firewall.
func Before(device string) bool { return strings.HasPrefix(device, brIntPrefix) }

// Look reads what there is. ports are those that the firewall should be before. It changes nothing.
func Look(ctx context.Context, state *desired.State, ports map[string]l2.Filtered) (*Found, error) {
	found := &Found{Tables: map[string]Size{}, Filtered: map[string]bool{}, WrongOf: map[string][]string{}}
	var failed error
	found.Settings, failed = link.BridgeSettings()
	if errors.Is(failed, link.ErrNoBridgeFilter) {
		failed = nil
	}
	failed = errors.Join(failed, found.bridges(ports))
	f := New(slog.New(slog.DiscardHandler))
	have, err := f.listing(ctx)
	if err != nil {
		found.Wrong = []string{fmt.Sprintf("they can't be read: %v", err)}
		return found, failed
	}
	list, refused := f.compute(state, ports, agent.Change{Full: true})
	for id, err := range refused {
		found.WrongOf[id] = []string{err.Error()}
	}
	plain, err := f.preview(ctx, list)
	if err != nil {
		found.Wrong = []string{fmt.Sprintf("nft refuses the rules that there should be: %v", err)}
	} else {
		found.compare(list, plain, have)
	}
	for _, t := range tables {
		if size := have.size(t); size != (Size{}) {
			found.Tables[t.String()] = size
		}
	}
	return found, failed
}

// bridges reads which bridges of ports show their packets to the tables of IP.
func (found *Found) bridges(ports map[string]l2.Filtered) (failed error) {
	space, err := link.In("")
	if err != nil {
		return err
	}
	defer space.Close()
	for id := range ports {
		if checkID("port", id) != nil {
			continue
		}
		bridge := device(bridgePrefix, id)
		filtered, there, err := space.BridgeFiltered(bridge)
		if err == nil && there {
			found.Filtered[bridge] = filtered
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

// compare says what is not as it should be; plain and have are what nft lists of what should be and of what is.
func (found *Found) compare(list []piece, plain, have ruleset) {
	missing := map[nft.Table]bool{}
	for _, t := range tables {
		if missing[t] = have.size(t) == (Size{}); missing[t] {
			found.Wrong = append(found.Wrong, "there is no table "+t.String())
		}
	}
	for _, p := range list {
		wrong := p.wrong(plain, have, missing)
		if id, isPort := strings.CutPrefix(p.key, "port/"); isPort && len(wrong) > 0 {
			found.WrongOf[id] = wrong
		} else {
			found.Wrong = append(found.Wrong, wrong...)
		}
	}
	for _, id := range differing(have.chains, plain.chains, always[chain]) {
		found.Wrong = append(found.Wrong, fmt.Sprintf("nothing wants chain %s", id))
	}
	for _, id := range sortedNames(have.sets) {
		want, wanted := plain.sets[id]
		if !wanted {
			found.Wrong = append(found.Wrong, fmt.Sprintf("nothing wants %s %s", word(have.sets[id].isMap), id))
			continue
		}
		if members(id) {
			continue // as a whole they are their piece's
		}
		for _, key := range slices.Sorted(maps.Keys(have.sets[id].elements)) {
			if _, wanted := want.elements[key]; !wanted {
				found.Wrong = append(found.Wrong, fmt.Sprintf("nothing wants %s in %s %s", key, word(want.isMap), id))
			}
		}
	}
}

// wrong says what of a piece is not as it should be, but for tables that are missing as a whole.
func (p piece) wrong(plain, have ruleset, missing map[nft.Table]bool) (out []string) {
	for _, id := range sortedNames(p.rules.chains) {
		want, now := plain.chains[id], have.chains[id]
		_, there := have.chains[id]
		switch {
		case missing[id.table]:
		case !there:
			out = append(out, fmt.Sprintf("there is no chain %s", id))
		case now.hook != want.hook || !now.equal(want):
			out = append(out, fmt.Sprintf("chain %s is not as it should be", id))
		}
	}
	for _, id := range sortedNames(p.rules.sets) {
		s, want, now := p.rules.sets[id], plain.sets[id], have.sets[id]
		_, there := have.sets[id]
		switch {
		case missing[id.table]:
		case s.kind == "": // its part of what all share
			for _, key := range slices.Sorted(maps.Keys(s.elements)) {
				if value, has := now.elements[key]; there && (!has || value != want.elements[key]) {
					out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s lacks %s %s", word(want.isMap), id, key, want.elements[key])))
				}
			}
		case !there:
			out = append(out, fmt.Sprintf("there is no %s %s", word(want.isMap), id))
		case now.isMap != want.isMap || now.kind != want.kind || members(id) && !now.equal(want):
			out = append(out, fmt.Sprintf("%s %s is not as it should be", word(want.isMap), id))
		}
	}
	return out
}

// members says whether a set has the addresses of a remote group.
func members(id name) bool { return strings.HasPrefix(id.name, "members") }

// size is how much of a table there is.
func (r ruleset) size(t nft.Table) (s Size) {
	for id := range r.chains {
		if id.table == t {
			s.Chains++
		}
	}
	for id := range r.sets {
		if id.table == t {
			s.Sets++
		}
	}
	return s
}
