package identity

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"gopkg.in/yaml.v3"
)

// maxFile limits the size of identity.yaml, in bytes.
const maxFile = 16 << 20

// document is identity.yaml. Objects name each other by id or, where it is unambiguous, by name. An
// id that is left out follows from the object's kind, domain and name.
type document struct {
	Domains     []domain     `yaml:"domains"`
	Projects    []project    `yaml:"projects"`
	Roles       []role       `yaml:"roles"`
	Users       []user       `yaml:"users"`
	Assignments []assignment `yaml:"assignments"`
	Services    []service    `yaml:"services"`
}

type domain struct {
	ID          string `yaml:"id,omitempty"`
	Name        string `yaml:"name"`
	Description string `yaml:"description,omitempty"`
	Disabled    bool   `yaml:"disabled,omitempty"`
}

type project struct {
	ID          string `yaml:"id,omitempty"`
	Name        string `yaml:"name"`
	Domain      string `yaml:"domain"`
	Description string `yaml:"description,omitempty"`
	Disabled    bool   `yaml:"disabled,omitempty"`
}

type role struct {
	ID      string   `yaml:"id,omitempty"`
	Name    string   `yaml:"name"`
	Implies []string `yaml:"implies,omitempty"` // who has this role has those too
}

type user struct {
	ID             string `yaml:"id,omitempty"`
	Name           string `yaml:"name"`
	Domain         string `yaml:"domain"`
	Description    string `yaml:"description,omitempty"`
	Email          string `yaml:"email,omitempty"`
	PasswordHash   string `yaml:"password_hash,omitempty"` // bcrypt
	Password       string `yaml:"password,omitempty"`      // in the clear; accepted with a warning
	DefaultProject string `yaml:"default_project,omitempty"`
	Disabled       bool   `yaml:"disabled,omitempty"`
}

// assignment gives a user a role on exactly one of a project, a domain, or the system.
type assignment struct {
	User    string `yaml:"user"`
	Role    string `yaml:"role"`
	Project string `yaml:"project,omitempty"`
	Domain  string `yaml:"domain,omitempty"`
	System  bool   `yaml:"system,omitempty"`
}

// service is an entry of the catalog.
type service struct {
	ID     string `yaml:"id,omitempty"`
	Type   string `yaml:"type"`
	Name   string `yaml:"name"`
	Region string `yaml:"region"`
	URL    string `yaml:"url"` // may hold {public_url} and {project_id}
}

// readDocument reads identity.yaml; keys that it does not know are errors.
func readDocument(path string) (*document, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read identities: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read identities: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("read identities: %s is larger than %d bytes", path, maxFile)
	}
	doc, err := decodeDocument(data)
	if err != nil {
		return nil, fmt.Errorf("read identities: %s: %w", path, err)
	}
	return doc, nil
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
