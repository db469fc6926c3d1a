package identity

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/bcrypt"
	"gopkg.in/yaml.v3"
)

// The files of the state directory.
const (
	identityFile = "identity.yaml"
	addedFile    = "identity-api.json" // what the API made
	cloudsFile   = "clouds.yaml"
	keysDir      = "fernet-keys"
	revokedFile  = "revoked-tokens"
)

const identityHead = `# Who may use this cloud. Changes come into force within seconds, without a restart; a file with
# mistakes is refused as a whole and the log says why. Passwords are bcrypt hashes (htpasswd -nbB);
# "password: ..." in the clear works too, with a warning. {public_url} is the server's own address.
`

const cloudsHead = `# Generated once, with the only copy of these passwords: export OS_CLIENT_CONFIG_FILE=<this file>
# and use openstack --os-cloud demo ...
`

// Bootstrap makes the state directory of a new cloud: token keys, identity.yaml with random
// passwords, and clouds.yaml that has them. What exists is left as it is. publicURL is the address
// under which clients reach the server, e.g. "http://192.0.2.1:9696".
func Bootstrap(stateDir, publicURL string) error {
	publicURL, err := cleanURL(publicURL)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return fmt.Errorf("make the state directory: %w", err)
	}
	return locked(stateDir, func() error {
		if err := createKeys(filepath.Join(stateDir, keysDir)); err != nil {
			return err
		}
		path := filepath.Join(stateDir, identityFile)
		if _, err := os.Stat(path); err == nil {
			return nil
		} else if !os.IsNotExist(err) {
			return fmt.Errorf("look for identities: %w", err)
		}
		doc, clouds, err := firstDocument(publicURL)
		if err != nil {
			return fmt.Errorf("make the first identities: %w", err)
		}
		// clouds.yaml first: were it lost, nobody would know the passwords.
		if err := writeYAML(filepath.Join(stateDir, cloudsFile), cloudsHead, clouds); err != nil {
			return fmt.Errorf("write the clients' configuration: %w", err)
		}
		if err := writeYAML(path, identityHead, doc); err != nil {
			return fmt.Errorf("write the first identities: %w", err)
		}
		return nil
	})
}

// cleanURL checks a public URL and takes trailing slashes off.
func cleanURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", fmt.Errorf("the public URL %q is not of the form http://HOST:PORT", text)
	}
	return strings.TrimRight(text, "/"), nil
}

// cloud is an entry of clouds.yaml.
type cloud struct {
	Auth       map[string]string `yaml:"auth"`
	Region     string            `yaml:"region_name"`
	APIVersion int               `yaml:"identity_api_version"`
}

// firstDocument makes the identities of a new cloud and the clients' configuration for them.
func firstDocument(publicURL string) (*document, map[string]map[string]cloud, error) {
	doc := &document{
		Domains: []domain{{ID: "default", Name: "Default", Description: "The default domain"}},
		Roles: []role{
			{ID: newID(), Name: "reader"},
			{ID: newID(), Name: "member", Implies: []string{"reader"}},
			{ID: newID(), Name: "manager", Implies: []string{"member"}},
			{ID: newID(), Name: "admin", Implies: []string{"manager"}},
			{ID: newID(), Name: "service"},
		},
		Services: []service{
			{ID: newID(), Type: "identity", Name: "keystone", Region: "RegionOne", URL: "{public_url}" + Prefix},
			{ID: newID(), Type: "network", Name: "neutron", Region: "RegionOne", URL: "{public_url}"},
		},
	}
	entries := map[string]cloud{}
	for _, first := range []struct{ user, project, cloud, role, description string }{
		{"admin", "admin", "neutrino-admin", "admin", "For the cloud's administrators"},
		{"demo", "demo", "demo", "member", "A project to try things in"},
		{"alt", "alt", "alt", "member", "Another project, to see that it sees nothing of demo"},
		{"service", "service", "service", "service", "For other services: compute and so on"},
	} {
		password := rand.Text()
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
		if err != nil {
			return nil, nil, err
		}
		doc.Projects = append(doc.Projects, project{ID: newID(), Name: first.project, Domain: "default", Description: first.description})
		doc.Users = append(doc.Users, user{
			ID: newID(), Name: first.user, Domain: "default", PasswordHash: string(hash), DefaultProject: first.project,
		})
		doc.Assignments = append(doc.Assignments, assignment{User: first.user, Role: first.role, Project: first.project})
		entries[first.cloud] = cloud{
			Auth: map[string]string{
				"auth_url": publicURL + Prefix + "/v3", "username": first.user, "password": password,
				"project_name": first.project, "user_domain_name": "Default", "project_domain_name": "Default",
			},
			Region: "RegionOne", APIVersion: 3,
		}
	}
	doc.Assignments = append(doc.Assignments, assignment{User: "admin", Role: "admin", System: true})
	return doc, map[string]map[string]cloud{"clouds": entries}, nil
}

// newID is 32 random hexadecimal digits.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func writeYAML(path, head string, v any) error {
	var b bytes.Buffer
	b.WriteString(head)
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(v); err != nil {
		return err
	}
	return writeFile(path, b.Bytes())
}
