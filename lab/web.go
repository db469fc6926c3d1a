package lab

import (
	"fmt"
	"net"
	"net/http"
	"time"
)

// serveOutside is a small web server in the outside world. It tells the caller by which address it is
// seen, which shows a NAT at work.
func serveOutside() error {
	server := &http.Server{Addr: ":80", ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			host = r.RemoteAddr
		}
		fmt.Fprintf(w, "hello from outside, %s\n", host)
	})}
	return server.ListenAndServe()
}
