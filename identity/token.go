package identity

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fernet/fernet-go"
)

// maxToken limits the length of a token that we look at.
const maxToken = 4096

// token is what a token says, encrypted. What its bearer may do is looked up at each use.
type token struct {
	UserID       string   `json:"u"`
	Fingerprint  string   `json:"f"` // of the user's password when the token was made
	Methods      []string `json:"m"`
	ProjectID    string   `json:"p,omitempty"`
	DomainID     string   `json:"d,omitempty"`
	System       bool     `json:"s,omitempty"`
	CredentialID string   `json:"c,omitempty"` // of the application credential that it was made with
	Issued       int64    `json:"i"`           // Unix seconds
	Expires      int64    `json:"e"`
	AuditIDs     []string `json:"a"` // its own, and that of the first in a chain of rescoped tokens
}

func (t *token) scope() scope { return scope{t.ProjectID, t.DomainID, t.System} }

// seal encrypts the token with the primary key.
func (t *token) seal(keys []*fernet.Key) (string, error) {
	data, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("write a token: %w", err)
	}
	sealed, err := fernet.EncryptAndSign(data, keys[0])
	if err != nil {
		return "", fmt.Errorf("write a token: %w", err)
	}
	return string(sealed), nil
}

// unseal decrypts a token that has not expired. The error says what is wrong with it.
func unseal(text string, keys []*fernet.Key, now time.Time) (*token, error) {
	if text == "" || len(text) > maxToken {
		return nil, errors.New("its length is impossible")
	}
	data := fernet.VerifyAndDecrypt([]byte(text), 0, keys)
	if data == nil {
		return nil, errors.New("it was not made here, or with a key that is gone")
	}
	t := &token{}
	if err := json.Unmarshal(data, t); err != nil || t.UserID == "" || len(t.AuditIDs) == 0 {
		return nil, errors.New("its content is not understood")
	}
	if now.Unix() >= t.Expires {
		return nil, errors.New("it has expired")
	}
	return t, nil
}

// newAuditID is a random id that may be logged.
func newAuditID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}
