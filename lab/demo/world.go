package demo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"neutrino/lab"
	"neutrino/lab/client"
)

// Addresses of the demo. Both projects use the same ones on their own networks.
const (
	blueSubnet  = "10.10.0.0/24"
	blueGateway = "10.10.0.1"
	greenSubnet = "10.20.0.0/24"
)

// world is what the demo made.
type world struct {
	lab   *lab.Lab
	proof *proof
	kinds []string // of agents on each host

	admin, demo, alt *client.Client

	outside        string // id of the external network
	router         string
	routerAddress  string // of demo's router, on the external network
	floating       string // address of e1's floating IP
	blue, green    string
	altBlue        string
	open, altGroup string // security groups
	instances      []*instance
}

// instance is a machine of a project and the times at which it got somewhere, counted from the first
// API call for it.
type instance struct {
	name, host, address, gateway string
	owner                        *client.Client
	network, group               string
	port, mac                    string

	created, plugged, active, leased, pinged time.Duration
}

func (w *world) login(ctx context.Context) (err error) {
	for cloud, to := range map[string]**client.Client{"neutrino-admin": &w.admin, "demo": &w.demo, "alt": &w.alt} {
		if *to, err = client.Login(ctx, w.lab.CloudsFile(), cloud); err != nil {
			return err
		}
	}
	return nil
}

// agents waits until the API lists every host's agents as alive.
func (w *world) agents(ctx context.Context) error {
	hosts, err := w.lab.Hosts()
	if err != nil {
		return err
	}
	return until(ctx, 20*time.Second, func() error {
		list, err := w.admin.List(ctx, "agents", "")
		if err != nil {
			return err
		}
		for _, host := range hosts {
			for _, kind := range w.kinds {
				if !slices.ContainsFunc(list, func(a client.Object) bool {
					return a["host"] == host && a["agent_type"] == kind && a["alive"] == true
				}) {
					return fmt.Errorf("no %s is alive on %s", kind, host)
				}
			}
		}
		return nil
	})
}

// create makes a resource and returns its id.
func create(ctx context.Context, c *client.Client, plural, singular string, attributes client.Object) (string, error) {
	o, err := c.Create(ctx, plural, singular, attributes)
	if err != nil {
		return "", err
	}
	id, ok := o["id"].(string)
	if !ok {
		return "", fmt.Errorf("a new %s has no id", singular)
	}
	return id, nil
}

func (w *world) external(ctx context.Context) (err error) {
	w.outside, err = create(ctx, w.admin, "networks", "network", client.Object{"name": "outside", "router:external": true,
		"provider:network_type": "flat", "provider:physical_network": "physnet1"})
	if err != nil {
		return err
	}
	_, err = create(ctx, w.admin, "subnets", "subnet", client.Object{"network_id": w.outside, "ip_version": 4, "cidr": lab.OutsideSubnet,
		"gateway_ip": lab.OutsideGateway, "enable_dhcp": false,
		"allocation_pools": []client.Object{{"start": "203.0.113.50", "end": "203.0.113.200"}}})
	return err
}

// network makes a network with one subnet; it returns the ids of both.
func network(ctx context.Context, c *client.Client, name, cidr string) (id, subnet string, err error) {
	if id, err = create(ctx, c, "networks", "network", client.Object{"name": name}); err != nil {
		return "", "", err
	}
	subnet, err = create(ctx, c, "subnets", "subnet", client.Object{"name": name, "network_id": id, "ip_version": 4, "cidr": cidr})
	return id, subnet, err
}

func connect(ctx context.Context, c *client.Client, router string, subnets ...string) error {
	for _, s := range subnets {
		if _, err := c.Do(ctx, "PUT", "/routers/"+router+"/add_router_interface", client.Object{"subnet_id": s}); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) demoNetworks(ctx context.Context) error {
	var blueSub, greenSub string
	var err error
	if w.blue, blueSub, err = network(ctx, w.demo, "blue", blueSubnet); err != nil {
		return err
	}
	if w.green, greenSub, err = network(ctx, w.demo, "green", greenSubnet); err != nil {
		return err
	}
	router, err := w.demo.Create(ctx, "routers", "router", client.Object{"name": "way-out", "external_gateway_info": client.Object{"network_id": w.outside}})
	if err != nil {
		return err
	}
	w.router, _ = router["id"].(string)
	if w.routerAddress, err = gatewayAddress(router); err != nil {
		return err
	}
	if err := connect(ctx, w.demo, w.router, blueSub, greenSub); err != nil {
		return err
	}
	if w.open, err = group(ctx, w.demo); err != nil {
		return err
	}
	w.instances = append(w.instances,
		&instance{name: "blue1", host: "h1", address: "10.10.0.11", gateway: blueGateway, owner: w.demo, network: w.blue, group: w.open},
		&instance{name: "blue2", host: "h1", address: "10.10.0.12", gateway: blueGateway, owner: w.demo, network: w.blue, group: w.open},
		&instance{name: "blue3", host: "h2", address: "10.10.0.13", gateway: blueGateway, owner: w.demo, network: w.blue, group: w.open},
		&instance{name: "green1", host: "h3", address: "10.20.0.11", gateway: "10.20.0.1", owner: w.demo, network: w.green, group: w.open})
	return nil
}

// gatewayAddress reads a router's first address on its external network.
func gatewayAddress(router client.Object) (string, error) {
	info, _ := router["external_gateway_info"].(client.Object)
	ips, _ := info["external_fixed_ips"].([]any)
	for _, ip := range ips {
		if o, ok := ip.(client.Object); ok {
			if a, ok := o["ip_address"].(string); ok {
				return a, nil
			}
		}
	}
	return "", fmt.Errorf("the router has no address outside: %v", router["external_gateway_info"])
}

func (w *world) altNetworks(ctx context.Context) error {
	var subnet string
	var err error
	if w.altBlue, subnet, err = network(ctx, w.alt, "blue", blueSubnet); err != nil {
		return err
	}
	router, err := create(ctx, w.alt, "routers", "router", client.Object{"name": "inside"})
	if err != nil {
		return err
	}
	if err := connect(ctx, w.alt, router, subnet); err != nil {
		return err
	}
	if w.altGroup, err = group(ctx, w.alt); err != nil {
		return err
	}
	w.instances = append(w.instances,
		&instance{name: "alt1", host: "h1", address: "10.10.0.21", gateway: blueGateway, owner: w.alt, network: w.altBlue, group: w.altGroup})
	return nil
}

// group makes a security group that lets in pings and TCP port 80 from everywhere.
func group(ctx context.Context, c *client.Client) (string, error) {
	id, err := create(ctx, c, "security-groups", "security_group", client.Object{"name": "web"})
	if err != nil {
		return "", err
	}
	for _, rule := range []client.Object{
		{"protocol": "icmp"},
		{"protocol": "tcp", "port_range_min": 80, "port_range_max": 80},
	} {
		rule["security_group_id"], rule["direction"], rule["ethertype"] = id, "ingress", "IPv4"
		if _, err := create(ctx, c, "security-group-rules", "security_group_rule", rule); err != nil {
			return "", err
		}
	}
	return id, nil
}

// until repeats a question until the answer is no error.
func until(ctx context.Context, patience time.Duration, ask func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := ask()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %v: %w", patience, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
