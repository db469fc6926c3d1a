package store

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ text, want, fails string }{
		{text: "/var/lib/neutrino/neutrino.db", want: "sqlite:///var/lib/neutrino/neutrino.db"},
		{text: "sqlite:///var/lib/n.db", want: "sqlite:///var/lib/n.db"},
		{text: "sqlite:////var/lib/n.db", want: "sqlite:///var/lib/n.db"},
		{text: "postgresql://u:secret@h:5433/n?sslmode=require", want: "postgresql://u:xxxxx@h:5433/n?sslmode=require"},
		{text: "postgresql+psycopg2://u@h/n?password=secret", want: "postgresql+psycopg2://u@h/n?password=xxxxx"},
		{text: "mysql+pymysql://u:secret@h/n?charset=utf8", want: "mysql+pymysql://u:xxxxx@h/n?charset=utf8"},
		{text: "mysql://u:p%40ss@[2001:db8::1]:3307/n", want: "mysql://u:xxxxx@[2001:db8::1]:3307/n"},
		{text: "", fails: "empty"},
		{text: "sqlite://", fails: "absolute path"},
		{text: "sqlite://n.db", fails: "absolute path"},
		{text: "sqlite:///n.db?cache=shared", fails: "options"},
		{text: "oracle://u@h/n", fails: "unknown kind"},
		{text: "mysql://u:secret@h", fails: "name of the database"},
		{text: "mysql://u:sec/ret@h/n", fails: "%2F"},
		{text: "mysql://u:secret@h/n#x", fails: "%23"},
	} {
		s, err := Parse(c.text)
		switch {
		case c.fails != "":
			if err == nil || !strings.Contains(err.Error(), c.fails) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "sec/ret") {
				t.Errorf("%s: %v", c.text, err)
			}
		case err != nil || s.String() != c.want:
			t.Errorf("%s: %s %v", c.text, s, err)
		}
	}
}

func TestPassword(t *testing.T) {
	s, err := Parse("mysql://u:old@h/n")
	if err != nil {
		t.Fatal(err)
	}
	s, err = s.WithPassword("a@b/c:d%")
	if err != nil {
		t.Fatal(err)
	}
	config, err := configMariaDB(s)
	if err != nil || config.Passwd != "a@b/c:d%" || config.User != "u" || config.DBName != "n" || config.Addr != "h:3306" {
		t.Errorf("%+v %v", config, err)
	}
	for _, text := range []string{"/tmp/x.db", "mysql://h/n"} {
		if s, err := Parse(text); err != nil {
			t.Error(err)
		} else if _, err := s.WithPassword("x"); err == nil {
			t.Errorf("%s took a password", text)
		}
	}
}

func TestMariaDBOptions(t *testing.T) {
	for _, c := range []struct{ options, fails string }{
		{"", ""},
		{"charset=utf8mb4&unix_socket=/run/x", ""},
		{"ssl_verify_cert=false", ""},
		{"charset=latin1", "utf8mb4"},
		{"ssl_ca=/nonexistent", "ssl_ca"},
		{"ssl_key=/nonexistent", "ssl_cert"},
		{"read_timeout=5", "unknown option"},
	} {
		s, err := Parse("mysql://u@h/n?" + c.options)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = configMariaDB(s); (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%s: %v", c.options, err)
		}
	}
}

// FuzzParse: no text makes the reader of database URLs panic, show the password, or name no database.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"sqlite:///a", "postgresql://u:pw@h/n?host=/x", "mysql+pymysql://u:pw@h:3/n?charset=utf8", "://", "mysql://%zz", "mysql://[::1/n", "x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		if s.Kind == SQLite {
			if s.Path == "" {
				t.Errorf("%q: no path", text)
			}
			return
		}
		if s.name() == "" {
			t.Errorf("%q: no name", text)
		}
		d, err := dialectOf(s.Kind)
		if err != nil {
			t.Fatal(err)
		}
		if db, err := d.connect(s, true); err == nil {
			_ = db.Close()
		}
		shown, err := Parse(s.String())
		if err != nil {
			t.Fatalf("%q is shown as %q: %v", text, s, err)
		}
		if password, given := shown.URL.User.Password(); given && password != "xxxxx" {
			t.Errorf("%q shows a password", text)
		}
	})
}
