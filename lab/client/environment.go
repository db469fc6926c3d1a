package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// FromEnvironment logs in as OpenStack's own clients would: with the entry OS_CLOUD of the file that
// OS_CLIENT_CONFIG_FILE names, or else of the first clouds.yaml in the working directory, in
// ~/.config/openstack and in /etc/openstack; or, without OS_CLOUD, with OS_AUTH_URL, OS_USERNAME and the rest.
func FromEnvironment(ctx context.Context) (*Client, error) {
	if name := os.Getenv("OS_CLOUD"); name != "" {
		file, err := cloudsFile()
		if err != nil {
			return nil, err
		}
		return Login(ctx, file, name)
	}
	var c cloud
	c.Auth.URL, c.Auth.User, c.Auth.Password = os.Getenv("OS_AUTH_URL"), os.Getenv("OS_USERNAME"), os.Getenv("OS_PASSWORD")
	c.Auth.Project = or(os.Getenv("OS_PROJECT_NAME"), os.Getenv("OS_TENANT_NAME"))
	c.Auth.UserIn, c.Auth.In = or(os.Getenv("OS_USER_DOMAIN_NAME"), "Default"), or(os.Getenv("OS_PROJECT_DOMAIN_NAME"), "Default")
	if c.Auth.URL == "" || c.Auth.User == "" || c.Auth.Project == "" {
		return nil, errors.New("who asks is not known: set OS_CLOUD, or OS_AUTH_URL, OS_USERNAME, OS_PASSWORD and OS_PROJECT_NAME")
	}
	if !strings.HasSuffix(strings.TrimRight(c.Auth.URL, "/"), "/v3") {
		c.Auth.URL = strings.TrimRight(c.Auth.URL, "/") + "/v3"
	}
	return login(ctx, c, c.Auth.User)
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// cloudsFile finds the file with clouds.
func cloudsFile() (string, error) {
	if file := os.Getenv("OS_CLIENT_CONFIG_FILE"); file != "" {
		return file, nil
	}
	tried := []string{"clouds.yaml"}
	if dir, err := os.UserConfigDir(); err == nil {
		tried = append(tried, filepath.Join(dir, "openstack", "clouds.yaml"))
	}
	tried = append(tried, "/etc/openstack/clouds.yaml")
	for _, file := range tried {
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("OS_CLOUD is set, and there is none of %s", strings.Join(tried, ", "))
}
