package policy

import (
	_ "embed"
	"encoding/json"
	"fmt"
)

//go:embed neutron.json
var neutronJSON []byte

// Neutron gives the default rules of the networking API.
func Neutron() ([]Default, error) {
	var defaults []Default
	if err := json.Unmarshal(neutronJSON, &defaults); err != nil {
		return nil, fmt.Errorf("read the built-in networking rules: %w", err)
	}
	return defaults, nil
}
