package keystone

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"neutrino/policy"
)

type named struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Domain struct {
		ID string `json:"id"`
	} `json:"domain"`
}

// body is a token as Keystone's API shows it:
// https://docs.openstack.org/api-ref/identity/v3/#validate-and-show-information-for-token
type body struct {
	Token struct {
		ExpiresAt string `json:"expires_at"`
		User      named  `json:"user"`
		Project   *named `json:"project"`
		Domain    *named `json:"domain"`
		System    *struct {
			All bool `json:"all"`
		} `json:"system"`
		Roles []named `json:"roles"`
	} `json:"token"`
}

// decode reads an answer about a token: whose it is, and until when.
func decode(text []byte) (*policy.Credentials, time.Time, error) {
	var b body
	if err := json.Unmarshal(text, &b); err != nil {
		return nil, time.Time{}, fmt.Errorf("what Keystone says of a token is not understood: %w", err)
	}
	t := b.Token
	until, err := time.Parse(time.RFC3339, t.ExpiresAt)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("expires_at of a token: %w", err)
	}
	if t.User.ID == "" {
		return nil, time.Time{}, errors.New("nothing is said of the user of a token")
	}
	c := &policy.Credentials{UserID: t.User.ID, UserName: t.User.Name, UserDomainID: t.User.Domain.ID}
	if t.Project != nil {
		c.ProjectID, c.ProjectName, c.ProjectDomainID = t.Project.ID, t.Project.Name, t.Project.Domain.ID
	}
	if t.Domain != nil {
		c.DomainID = t.Domain.ID
	}
	c.SystemScope = t.System != nil && t.System.All
	for _, r := range t.Roles {
		c.Roles = append(c.Roles, r.Name)
	}
	return c, until, nil
}
