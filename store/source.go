package store

import (
	"fmt"
	"net/url"
	"path"
	"strings"
)

// Kind is a kind of database.
type Kind string

// The databases that there are.
const (
	SQLite   Kind = "sqlite"
	Postgres Kind = "postgresql"
	MariaDB  Kind = "mariadb"
)

// Source says where a database is.
type Source struct {
	Kind Kind
	Path string   // of SQLite's file
	URL  *url.URL // of a database server; its scheme is what the operator wrote
}

// schemes are the forms of URLs that operators know from [database] connection in neutron.conf. The
// part after the plus names a Python driver, which is of no meaning here.
var schemes = map[string]Kind{
	"sqlite": SQLite, "postgresql": Postgres, "postgres": Postgres, "mysql": MariaDB, "mariadb": MariaDB,
}

// Parse reads a database's URL as it stands in [database] connection of neutron.conf:
// sqlite:///PATH, postgresql://USER:PASSWORD@HOST:PORT/NAME, mysql://USER:PASSWORD@HOST:PORT/NAME, also
// with a driver's name as in mysql+pymysql://. A text without "://" is the path of an SQLite file.
// The path of sqlite:/// is absolute with three slashes as with four.
func Parse(text string) (Source, error) {
	scheme, rest, isURL := strings.Cut(text, "://")
	if !isURL {
		if text == "" {
			return Source{}, fmt.Errorf("the database URL is empty")
		}
		return Source{Kind: SQLite, Path: text}, nil
	}
	name, _, _ := strings.Cut(scheme, "+")
	kind, known := schemes[name]
	if !known {
		return Source{}, fmt.Errorf("database URL %s://…: unknown kind of database; use sqlite:///PATH, postgresql://… or mysql://…", scheme)
	}
	if kind == SQLite {
		if !strings.HasPrefix(rest, "/") || strings.Trim(rest, "/") == "" {
			return Source{}, fmt.Errorf("database URL %q: use sqlite:///PATH with the file's absolute path", text)
		}
		if strings.ContainsAny(rest, "?#") {
			return Source{}, fmt.Errorf("database URL %q: options of SQLite are not supported", text)
		}
		return Source{Kind: SQLite, Path: path.Clean(rest)}, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		// The error of url.Parse repeats the text and with it the password.
		return Source{}, fmt.Errorf("the %s database URL can't be read: characters like @ / : %% in names and passwords are written %%40 %%2F %%3A %%25", scheme)
	}
	if strings.Trim(u.Path, "/") == "" {
		return Source{}, fmt.Errorf("database URL %s: the name of the database is missing: %s://USER@HOST/NAME", u.Redacted(), scheme)
	}
	if u.Fragment != "" {
		return Source{}, fmt.Errorf("database URL %s: a # is written %%23", u.Redacted())
	}
	return Source{Kind: kind, URL: u}, nil
}

// WithPassword is the same source with another password.
func (s Source) WithPassword(password string) (Source, error) {
	if s.Kind == SQLite {
		return s, fmt.Errorf("a password for %s: SQLite has none", s)
	}
	if s.URL.User.Username() == "" {
		return s, fmt.Errorf("a password for %s: the URL names no user", s)
	}
	u := *s.URL
	u.User = url.UserPassword(u.User.Username(), password)
	s.URL = &u
	return s, nil
}

// String is the source for people and logs, without the password.
func (s Source) String() string {
	if s.Kind == SQLite {
		return "sqlite://" + s.Path
	}
	u := *s.URL
	options := u.Query()
	for _, name := range []string{"password", "sslpassword"} { // PostgreSQL takes them as options too
		if options.Has(name) {
			options.Set(name, "xxxxx")
			u.RawQuery = options.Encode()
		}
	}
	return u.Redacted()
}

// name is the name of the database on its server.
func (s Source) name() string { return strings.Trim(s.URL.Path, "/") }
