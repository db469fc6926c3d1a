package identity

import (
	"context"
	"errors"
	"net/http"

	"golang.org/x/crypto/bcrypt"
)

// hash makes a secret's hash, in turn with the checks of logins.
func (s *Service) hash(ctx context.Context, what, text string) (string, error) {
	if text == "" || len(text) > 72 {
		return "", refuse(http.StatusBadRequest, "A %s has 1 to 72 bytes.", what)
	}
	if err := s.passwords.wait(ctx); err != nil {
		return "", loginRefusal(err)
	}
	defer s.passwords.done()
	b, err := bcrypt.GenerateFromPassword([]byte(text), bcrypt.DefaultCost)
	return string(b), err
}

// user reads what a client says of a user, but for the password.
func (in fields) user(v *user) {
	in.name(&v.Name)
	in.text("description", &v.Description)
	in.text("email", &v.Email)
	in.text("default_project_id", &v.DefaultProject)
	in.enabled(&v.Disabled)
}

// password gives the hash of the password that a client wants; "" for none.
func (s *Service) password(ctx context.Context, in fields) (string, error) {
	if in.values["password"] == nil {
		return "", nil
	}
	var text string
	if in.text("password", &text); *in.wrong != nil {
		return "", *in.wrong
	}
	return s.hash(ctx, "password", text)
}

// userFits says whether the user that a client wants can be.
func (in fields) userFits(d *directory, v *user) error {
	if other := d.userNames[named{v.Domain, v.Name}]; other != nil && other.ID != v.ID {
		return conflict("user", v.Name)
	}
	if d.domains[v.Domain] == nil {
		return missing("domain", v.Domain)
	}
	if given := !empty(in.values["default_project_id"]); given && v.DefaultProject != "" && d.projects[v.DefaultProject] == nil {
		return missing("project", v.DefaultProject)
	}
	return nil
}

func (s *Service) createUser(x *session, r *http.Request, in fields) (string, error) {
	v := user{ID: newID(), Domain: in.domainOf(x)}
	in.only("name", "description", "email", "default_project_id", "enabled", "password", "domain_id")
	in.user(&v)
	if *in.wrong != nil {
		return "", *in.wrong
	}
	if err := in.userFits(x.directory, &v); err != nil {
		return "", err // before time is spent on the password
	}
	var err error
	if v.PasswordHash, err = s.password(r.Context(), in); err != nil {
		return "", err
	}
	return v.ID, s.change(func(added *document, d *directory) error {
		added.Users = append(added.Users, v)
		return in.userFits(d, &v)
	})
}

func (s *Service) updateUser(r *http.Request, id string, in fields) error {
	if d := s.directory.Load(); d.users[id] != nil { // before time is spent on the password
		if err := d.changeable("user", id); err != nil {
			return err
		}
	}
	hash, err := s.password(r.Context(), in)
	if err != nil {
		return err
	}
	return s.change(func(added *document, d *directory) error {
		if err := d.changeable("user", id); err != nil {
			return err
		}
		v := edit(added.Users, func(v *user) bool { return v.ID == id })
		in.only("name", "description", "email", "default_project_id", "enabled", "password", "domain_id")
		in.fixed("domain_id", v.Domain)
		in.user(v)
		if hash != "" {
			v.PasswordHash = hash
		}
		if *in.wrong != nil {
			return *in.wrong
		}
		return in.userFits(d, v)
	})
}

func (s *Service) removeUser(id string) error {
	return s.remove("user", id, nil)
}

// changePassword is POST /v3/users/{id}/password: users change their own.
func (s *Service) changePassword(x *session, r *http.Request) (answer, error) {
	id := r.PathValue("id")
	if id != x.user.ID {
		return answer{}, forbidden("identity:change_password")
	}
	in, err := readFields(r, "user")
	if err != nil {
		return answer{}, err
	}
	var old string
	in.only("original_password", "password")
	in.text("original_password", &old)
	if _, given := in.values["password"].(string); !given {
		in.refuse("'password' is a required property.")
	}
	if *in.wrong != nil {
		return answer{}, *in.wrong
	}
	if err := x.directory.changeable("user", id); err != nil {
		return answer{}, err
	}
	if err := s.passwords.check(r.Context(), x.user.secret(), old, id+"\x00"+clientAddress(r), s.options.Now()); err != nil {
		return answer{}, loginRefusal(err)
	}
	hash, err := s.password(r.Context(), in)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, s.change(func(added *document, d *directory) error {
		if err := d.changeable("user", id); err != nil {
			return err
		}
		if d.users[id].fingerprint() != x.user.fingerprint() {
			return refuse(http.StatusUnauthorized, "the password was changed meanwhile")
		}
		edit(added.Users, func(v *user) bool { return v.ID == id }).PasswordHash = hash
		return nil
	})
}

// loginRefusal is the answer to a login, or a change of a password, that failed with err.
func loginRefusal(err error) error {
	switch {
	case errors.Is(err, errTooMany):
		return refuse(http.StatusTooManyRequests, "%v", err)
	case errors.Is(err, errBusy):
		return refuse(http.StatusServiceUnavailable, "%v", err)
	}
	return refuse(http.StatusUnauthorized, "%v", err)
}
