package identity

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"gopkg.in/yaml.v3"
)

// maxFile limits the size of a file of identities, in bytes.
const maxFile = 16 << 20

// document is identity.yaml. Objects name each other by id or, where it is unambiguous, by name. An
// id that is left out follows from the object's kind, domain and name.
type document struct {
	Domains     []domain     `yaml:"domains" json:"domains"`
	Projects    []project    `yaml:"projects" json:"projects"`
	Roles       []role       `yaml:"roles" json:"roles"`
	Users       []user       `yaml:"users" json:"users"`
	Groups      []group      `yaml:"groups,omitempty" json:"groups,omitempty"`
	Assignments []assignment `yaml:"assignments" json:"assignments"`
	Services    []service    `yaml:"services" json:"services"`
	Endpoints   []endpoint   `yaml:"endpoints,omitempty" json:"endpoints,omitempty"`
	Credentials []credential `yaml:"application_credentials,omitempty" json:"application_credentials,omitempty"`
}

type domain struct {
	ID          string `yaml:"id,omitempty" json:"id,omitempty"`
	Name        string `yaml:"name" json:"name"`
	Description string `yaml:"description,omitempty" json:"description,omitempty"`
	Disabled    bool   `yaml:"disabled,omitempty" json:"disabled,omitempty"`
}

type project struct {
	ID          string `yaml:"id,omitempty" json:"id,omitempty"`
	Name        string `yaml:"name" json:"name"`
	Domain      string `yaml:"domain" json:"domain"`
	Parent      string `yaml:"parent,omitempty" json:"parent,omitempty"` // a project of the same domain
	Description string `yaml:"description,omitempty" json:"description,omitempty"`
	Disabled    bool   `yaml:"disabled,omitempty" json:"disabled,omitempty"`
}

type role struct {
	ID          string   `yaml:"id,omitempty" json:"id,omitempty"`
	Name        string   `yaml:"name" json:"name"`
	Description string   `yaml:"description,omitempty" json:"description,omitempty"`
	Implies     []string `yaml:"implies,omitempty" json:"implies,omitempty"` // who has this role has those too
}

type user struct {
	ID             string `yaml:"id,omitempty" json:"id,omitempty"`
	Name           string `yaml:"name" json:"name"`
	Domain         string `yaml:"domain" json:"domain"`
	Description    string `yaml:"description,omitempty" json:"description,omitempty"`
	Email          string `yaml:"email,omitempty" json:"email,omitempty"`
	PasswordHash   string `yaml:"password_hash,omitempty" json:"password_hash,omitempty"` // bcrypt
	Password       string `yaml:"password,omitempty" json:"password,omitempty"`           // in the clear; accepted with a warning
	DefaultProject string `yaml:"default_project,omitempty" json:"default_project,omitempty"`
	Disabled       bool   `yaml:"disabled,omitempty" json:"disabled,omitempty"`
}

type group struct {
	ID          string   `yaml:"id,omitempty" json:"id,omitempty"`
	Name        string   `yaml:"name" json:"name"`
	Domain      string   `yaml:"domain" json:"domain"`
	Description string   `yaml:"description,omitempty" json:"description,omitempty"`
	Users       []string `yaml:"users,omitempty" json:"users,omitempty"`
}

// assignment gives a user or the members of a group a role on exactly one of a project, a domain, or
// the system. An inherited one is good in the projects below the project or in the domain, not there itself.
type assignment struct {
	User      string `yaml:"user,omitempty" json:"user,omitempty"`
	Group     string `yaml:"group,omitempty" json:"group,omitempty"`
	Role      string `yaml:"role" json:"role"`
	Project   string `yaml:"project,omitempty" json:"project,omitempty"`
	Domain    string `yaml:"domain,omitempty" json:"domain,omitempty"`
	System    bool   `yaml:"system,omitempty" json:"system,omitempty"`
	Inherited bool   `yaml:"inherited,omitempty" json:"inherited,omitempty"`
}

// service is an entry of the catalog. With a URL it has an endpoint of every interface there.
type service struct {
	ID          string `yaml:"id,omitempty" json:"id,omitempty"`
	Type        string `yaml:"type" json:"type"`
	Name        string `yaml:"name" json:"name"`
	Description string `yaml:"description,omitempty" json:"description,omitempty"`
	Region      string `yaml:"region,omitempty" json:"region,omitempty"`
	URL         string `yaml:"url,omitempty" json:"url,omitempty"` // may hold {public_url} and {project_id}
	Disabled    bool   `yaml:"disabled,omitempty" json:"disabled,omitempty"`
}

// endpoint is where a service is reached by one interface.
type endpoint struct {
	ID        string `yaml:"id,omitempty" json:"id,omitempty"`
	Service   string `yaml:"service" json:"service"`
	Interface string `yaml:"interface" json:"interface"` // public, internal or admin
	Region    string `yaml:"region" json:"region"`
	URL       string `yaml:"url" json:"url"` // as a service's
	Disabled  bool   `yaml:"disabled,omitempty" json:"disabled,omitempty"`
}

// credential is an application credential: its bearer is the user, on one project, with some of the user's roles.
type credential struct {
	ID           string    `yaml:"id,omitempty" json:"id,omitempty"`
	Name         string    `yaml:"name" json:"name"`
	User         string    `yaml:"user" json:"user"`
	Project      string    `yaml:"project" json:"project"`
	Roles        []string  `yaml:"roles" json:"roles"`
	Description  string    `yaml:"description,omitempty" json:"description,omitempty"`
	SecretHash   string    `yaml:"secret_hash" json:"secret_hash"` // bcrypt
	Expires      time.Time `yaml:"expires,omitempty" json:"expires,omitzero"`
	Unrestricted bool      `yaml:"unrestricted,omitempty" json:"unrestricted,omitempty"` // it may make and delete application credentials
}

// readDocument reads identity.yaml; keys that it does not know are errors.
func readDocument(path string) (*document, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read identities: %w", err)
	}
	doc, err := decodeDocument(data)
	if err != nil {
		return nil, fmt.Errorf("read identities: %s: %w", path, err)
	}
	return doc, nil
}

// readFile reads a file of at most maxFile bytes.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return data, err
}

func decodeDocument(data []byte) (*document, error) {
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	doc := &document{}
	if err := d.Decode(doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one YAML document in it")
	}
	return doc, nil
}

// writeFile puts data into place at once, readable by the owner only, and safe on disk.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
