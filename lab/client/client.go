// Package client speaks the networking API as its public clients do: it logs in with an entry of
// clouds.yaml, finds the endpoint in the catalog and sends JSON.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Object is a JSON object as the API speaks it.
type Object = map[string]any

// Client is one user of the API.
type Client struct {
	Cloud    string // the entry of clouds.yaml
	Project  string // id of the project
	endpoint string
	token    string
	http     *http.Client
}

// Refused is an answer that is no success.
type Refused struct {
	Method, Path string
	Status       int
	Body         string
}

func (r *Refused) Error() string {
	return fmt.Sprintf("%s %s: %d: %s", r.Method, r.Path, r.Status, strings.TrimSpace(r.Body))
}

type cloud struct {
	Auth struct {
		URL      string `yaml:"auth_url"`
		User     string `yaml:"username"`
		Password string `yaml:"password"`
		Project  string `yaml:"project_name"`
		UserIn   string `yaml:"user_domain_name"`
		In       string `yaml:"project_domain_name"`
	} `yaml:"auth"`
}

// Login reads an entry of a clouds.yaml and gets a token.
func Login(ctx context.Context, cloudsFile, name string) (*Client, error) {
	data, err := os.ReadFile(cloudsFile)
	if err != nil {
		return nil, fmt.Errorf("read the clouds' file: %w", err)
	}
	var all struct {
		Clouds map[string]cloud `yaml:"clouds"`
	}
	if err := yaml.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", cloudsFile, err)
	}
	c, ok := all.Clouds[name]
	if !ok {
		return nil, fmt.Errorf("%s knows no cloud %q", cloudsFile, name)
	}
	return login(ctx, c, name)
}

// login gets a token of a cloud that errors call name.
func login(ctx context.Context, c cloud, name string) (*Client, error) {
	body := Object{"auth": Object{
		"identity": Object{"methods": []string{"password"}, "password": Object{"user": Object{
			"name": c.Auth.User, "password": c.Auth.Password, "domain": Object{"name": c.Auth.UserIn}}}},
		"scope": Object{"project": Object{"name": c.Auth.Project, "domain": Object{"name": c.Auth.In}}},
	}}
	client := &Client{Cloud: name, http: &http.Client{Timeout: 60 * time.Second}}
	answer, header, err := client.do(ctx, http.MethodPost, strings.TrimRight(c.Auth.URL, "/")+"/auth/tokens", body)
	if err != nil {
		return nil, fmt.Errorf("log in as %s: %w", name, err)
	}
	client.token = header.Get("X-Subject-Token")
	var said struct {
		Token struct {
			Project struct{ ID string }
			Catalog []struct {
				Type      string
				Endpoints []struct{ Interface, URL string }
			}
		}
	}
	if err := json.Unmarshal(answer, &said); err != nil {
		return nil, fmt.Errorf("log in as %s: %w", name, err)
	}
	client.Project = said.Token.Project.ID
	for _, s := range said.Token.Catalog {
		for _, e := range s.Endpoints {
			if s.Type == "network" && e.Interface == "public" {
				client.endpoint = strings.TrimRight(e.URL, "/")
			}
		}
	}
	if client.endpoint == "" {
		return nil, fmt.Errorf("log in as %s: the catalog has no network service", name)
	}
	return client, nil
}

// Do sends a request below /v2.0, such as "/ports?name=a"; body nil is none. It returns the object
// answered, which is nil when there is none. An answer that is no success is a *Refused.
func (c *Client) Do(ctx context.Context, method, path string, body any) (Object, error) {
	data, _, err := c.do(ctx, method, c.endpoint+"/v2.0"+path, body)
	if err != nil || len(data) == 0 {
		return nil, err
	}
	var o Object
	if err := json.Unmarshal(data, &o); err != nil {
		return nil, fmt.Errorf("%s %s: unreadable answer: %w", method, path, err)
	}
	return o, nil
}

// Send is Do for those who expect a refusal and care for nothing else. A body
// that is a string is sent as it is, JSON or not.
func (c *Client) Send(ctx context.Context, method, path string, body any) (http.Header, error) {
	_, header, err := c.do(ctx, method, c.endpoint+"/v2.0"+path, body)
	return header, err
}

// Create makes one resource: Create(ctx, "networks", "network", {...}). It returns the resource.
func (c *Client) Create(ctx context.Context, plural, singular string, attributes Object) (Object, error) {
	answer, err := c.Do(ctx, http.MethodPost, "/"+plural, Object{singular: attributes})
	if err != nil {
		return nil, err
	}
	return inner(answer, singular)
}

// Show gets one resource: Show(ctx, "ports", "port", id).
func (c *Client) Show(ctx context.Context, plural, singular, id string) (Object, error) {
	answer, err := c.Do(ctx, http.MethodGet, "/"+plural+"/"+id, nil)
	if err != nil {
		return nil, err
	}
	return inner(answer, singular)
}

// Update changes one resource.
func (c *Client) Update(ctx context.Context, plural, singular, id string, attributes Object) (Object, error) {
	answer, err := c.Do(ctx, http.MethodPut, "/"+plural+"/"+id, Object{singular: attributes})
	if err != nil {
		return nil, err
	}
	return inner(answer, singular)
}

// List gets the resources of a collection that match a query such as "name=a&fields=id".
func (c *Client) List(ctx context.Context, plural, query string) ([]Object, error) {
	path := "/" + plural
	if query != "" {
		path += "?" + query
	}
	answer, err := c.Do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	items, ok := answer[plural].([]any)
	if !ok {
		return nil, fmt.Errorf("GET %s: the answer has no list %q", path, plural)
	}
	var list []Object
	for _, item := range items {
		o, ok := item.(Object)
		if !ok {
			return nil, fmt.Errorf("GET %s: an item is a %T", path, item)
		}
		list = append(list, o)
	}
	return list, nil
}

// Delete removes one resource.
func (c *Client) Delete(ctx context.Context, plural, id string) error {
	_, err := c.Do(ctx, http.MethodDelete, "/"+plural+"/"+id, nil)
	return err
}

func inner(answer Object, singular string) (Object, error) {
	o, ok := answer[singular].(Object)
	if !ok {
		return nil, fmt.Errorf("the answer has no %q", singular)
	}
	return o, nil
}

func (c *Client) do(ctx context.Context, method, url string, body any) ([]byte, http.Header, error) {
	var reader io.Reader
	if text, ok := body.(string); ok {
		reader = strings.NewReader(text)
	} else if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, nil, err
		}
		reader = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, reader)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("X-Auth-Token", c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return nil, nil, fmt.Errorf("%s %s: %w", method, url, err)
	}
	if resp.StatusCode >= 300 {
		return nil, nil, &Refused{Method: method, Path: req.URL.RequestURI(), Status: resp.StatusCode, Body: string(data)}
	}
	return data, resp.Header, nil
}
