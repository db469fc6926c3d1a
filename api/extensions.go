package api

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"neutrino/fault"
)

// extension is an entry of the extension list. Clients find features by its alias.
type extension struct {
	Alias       string   `json:"alias"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Updated     string   `json:"updated"`
	Links       []string `json:"links"`

	driver bool // there only if a mechanism driver in use brings it
}

//go:embed extensions.json
var extensionData []byte

// Extensions lists the aliases to show: of those extensions that only some mechanism drivers have, the ones that the
// drivers in use bring.
func Extensions(brought []string) []string {
	all, err := readExtensions()
	if err != nil {
		panic("api: extensions.json: " + err.Error())
	}
	var aliases []string
	for _, e := range all {
		if !e.driver || slices.Contains(brought, e.Alias) {
			aliases = append(aliases, e.Alias)
		}
	}
	return aliases
}

// DriverExtensions lists the aliases of those that only some mechanism drivers have.
func DriverExtensions() []string {
	all, err := readExtensions()
	if err != nil {
		panic("api: extensions.json: " + err.Error())
	}
	var aliases []string
	for _, e := range all {
		if e.driver {
			aliases = append(aliases, e.Alias)
		}
	}
	return aliases
}

func readExtensions() ([]extension, error) {
	var read []struct {
		extension
		Driver bool `json:"driver"`
	}
	if err := json.Unmarshal(extensionData, &read); err != nil {
		return nil, err
	}
	all := make([]extension, len(read))
	for i, e := range read {
		all[i] = e.extension
		all[i].driver, all[i].Links = e.Driver, []string{}
	}
	return all, nil
}

func knownExtensions(aliases []string) ([]extension, error) {
	all, err := readExtensions()
	if err != nil {
		return nil, fmt.Errorf("extensions.json: %w", err)
	}
	known := []extension{}
	for _, alias := range aliases {
		at := slices.IndexFunc(all, func(e extension) bool { return e.Alias == alias })
		if at < 0 {
			return nil, fmt.Errorf("extension %q is not known to extensions.json", alias)
		}
		known = append(known, all[at])
	}
	return known, nil
}

// showExtensions serves the extension list and its entries.
func (r *request) showExtensions(words []string) error {
	if r.Method != http.MethodGet || len(words) > 1 {
		return notFound()
	}
	if len(words) == 0 {
		b, err := json.Marshal(map[string]any{"extensions": r.door.extensions})
		return r.json(http.StatusOK, b, err)
	}
	for _, e := range r.door.extensions {
		if e.Alias == words[0] {
			b, err := json.Marshal(map[string]any{"extension": e})
			return r.json(http.StatusOK, b, err)
		}
	}
	return fault.NotFound("HTTPNotFound", "Extension with alias %s does not exist", words[0])
}
