package network

import (
	"maps"
	"slices"

	"neutrino/fault"
	"neutrino/resource"
)

// Extras are what further extensions keep of a port for others: Nova, drivers, monitors.
type Extras struct {
	DNSDomain       string // dns_domain; "" is the network's
	DataPlaneStatus string // what a monitor says of its data plane: ACTIVE, DOWN; "" is nothing
	DeviceProfile   string // Cyborg's device profile; "": none
	OffloadType     string // hardware_offload_type; "": none
	Hints           map[string]any
	NUMAPolicy      string // numa_affinity_policy; "": none
	PropagateUplink bool   // propagate_uplink_status
	Trusted         string // "true", "false"; "" is not said
}

// numaPolicies are the values of numa_affinity_policy.
var numaPolicies = []string{"required", "preferred", "legacy", "socket"}

// extraAttributes declares the extras.
func extraAttributes() []*resource.Attribute[Port] {
	return []*resource.Attribute[Port]{
		dnsDomain(func(p *Port) *string { return &p.DNSDomain }),
		resource.Enum("data_plane_status", "data_plane_status", []string{"ACTIVE", "DOWN"}, true,
			func(p *Port) *string { return &p.DataPlaneStatus }).Put().Policed(),
		resource.OptionalText("device_profile", "device_profile", 255, func(p *Port) *string { return &p.DeviceProfile }).Post(),
		offloadType(),
		resource.JSON("hints", "hints", func(p *Port) *map[string]any { return &p.Hints }, parseHints).Post().Put().Policed(),
		resource.Enum("numa_affinity_policy", "numa_affinity_policy", numaPolicies, true,
			func(p *Port) *string { return &p.NUMAPolicy }).Post().Put(),
		resource.Bool("propagate_uplink_status", "propagate_uplink_status", func(p *Port) *bool { return &p.PropagateUplink }).
			Post().Put().Default(func(p *Port) { p.PropagateUplink = true }),
		trusted(),
	}
}

// offloadType declares hardware_offload_type: null only where it was never given.
func offloadType() *resource.Attribute[Port] {
	a := resource.Enum("hardware_offload_type", "hardware_offload_type", []string{"switchdev"}, false,
		func(p *Port) *string { return &p.OffloadType }).Post().Policed()
	return a.Encoded(func(b []byte, p *Port) []byte {
		if p.OffloadType == "" {
			return append(b, "null"...)
		}
		return resource.AppendString(b, p.OffloadType)
	})
}

// trusted declares a boolean that is null until it was given.
func trusted() *resource.Attribute[Port] {
	a := resource.Text("trusted", "trusted", 5, func(p *Port) *string { return &p.Trusted }).Post().Put().Policed()
	return a.Decoded(func(p *Port, v any) error {
		on, err := resource.BoolValue(v)
		if err != nil {
			return fault.Invalid("Invalid input for trusted. Reason: '%v' is not a valid boolean value.", v)
		}
		p.Trusted = "false"
		if on {
			p.Trusted = "true"
		}
		return nil
	}).Encoded(func(b []byte, p *Port) []byte {
		if p.Trusted == "" {
			return append(b, "null"...)
		}
		return append(b, p.Trusted...)
	})
}

// withTrust is a binding profile as clients see it: what the port's trusted attribute says goes with it, for
// Nova reads it there.
func (p *Port) withTrust(profile map[string]any) map[string]any {
	if p.Trusted == "" {
		return profile
	}
	out := maps.Clone(profile)
	if out == nil {
		out = map[string]any{}
	}
	out["trusted"] = p.Trusted == "true"
	return out
}

// offerOffload has the binding profile name the asked hardware offload as a capability, for that is where
// drivers and Nova look for it.
func (p *Port) offerOffload() {
	if p.OffloadType == "" {
		return
	}
	p.Profile = maps.Clone(p.Profile)
	capabilities, _ := p.Profile["capabilities"].([]any)
	if !slices.Contains(capabilities, any(p.OffloadType)) {
		capabilities = append(slices.Clone(capabilities), p.OffloadType)
	}
	p.Profile["capabilities"] = capabilities
}

// parseHints takes null or {"openvswitch": {"other_config": {"tx-steering": "thread" or "hash"}}}; each
// level may be left out.
func parseHints(v any) (map[string]any, error) {
	if v == nil {
		return nil, nil
	}
	hints, err := resource.MapValue("hints", v, "openvswitch")
	if err != nil {
		return nil, err
	}
	inner := any(hints)
	for _, key := range []string{"openvswitch", "other_config"} {
		level, _ := inner.(map[string]any)
		next, there := level[key]
		if !there {
			return hints, nil
		}
		allowed := "other_config"
		if key == allowed {
			allowed = "tx-steering"
		}
		if inner, err = anyMap(resource.MapValue("hints", next, allowed)); err != nil {
			return nil, err
		}
	}
	steering, there := inner.(map[string]any)["tx-steering"]
	if there && steering != "thread" && steering != "hash" {
		return nil, fault.Invalid("Invalid input for hints. Reason: '%v' is not in ['thread', 'hash'].", steering)
	}
	return hints, nil
}

func anyMap(m map[string]any, err error) (any, error) { return m, err }

// checkExtras refuses changes that a bound port can't take.
func checkExtras(old, p *Port, given resource.Given) error {
	if !given.Has("numa_affinity_policy") || !old.Bound() {
		return nil
	}
	value := p.NUMAPolicy
	if value == "" {
		value = "None"
	}
	return fault.Conflict("PortBoundNUMAAffinityPolicy", "Unable to complete operation on port %s, port is already bound to host %s, numa_affinity_policy value given %s.", p.ID, old.Host, value)
}
