package hybrid

import (
	"strings"

	"neutrino/dataplane/nft"
)

// parse reads a table as nft lists it. What it does not understand it leaves out, so that it counts as missing: it is
// written anew then.
func parse(t nft.Table, listing string) ruleset {
	r := newRuleset()
	var block []string // the lines of the chain, set or map that is open
	kind, id := "", ""
	for line := range strings.Lines(listing) {
		line = strings.TrimSpace(line)
		switch {
		case kind == "":
			words := strings.Fields(line)
			if len(words) >= 3 && words[len(words)-1] == "{" && (words[0] == "chain" || words[0] == "set" || words[0] == "map") {
				kind, id, block = words[0], strings.Trim(words[1], `"`), nil
			}
		case line == "}":
			n := name{t, id}
			if kind == "chain" {
				r.chains[n] = parseChain(block)
			} else {
				r.sets[n] = parseSet(kind == "map", block)
			}
			kind = ""
		case line != "":
			block = append(block, line)
		}
	}
	return r
}

func parseChain(lines []string) (c chain) {
	if len(lines) > 0 && strings.HasPrefix(lines[0], "type ") {
		c.hook, lines = lines[0], lines[1:]
	}
	c.rules = lines
	return c
}

// parseSet reads a set's lines: its type and flags, and elements that may go over many lines.
func parseSet(isMap bool, lines []string) set {
	s := set{isMap: isMap, elements: map[string]string{}}
	var kinds []string
	for i, line := range lines {
		list, begins := strings.CutPrefix(line, "elements = {")
		if !begins {
			kinds = append(kinds, line)
			continue
		}
		list = strings.TrimSuffix(strings.TrimSpace(list+" "+strings.Join(lines[i+1:], " ")), "}")
		for _, element := range strings.Split(list, ",") {
			key, value, _ := strings.Cut(strings.TrimSpace(element), " : ")
			if key != "" {
				s.elements[strings.TrimSpace(key)] = strings.TrimSpace(value)
			}
		}
		break
	}
	s.kind = strings.Join(kinds, "; ")
	return s
}
