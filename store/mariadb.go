package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// MariaDB 10.11 and later, also as a Galera cluster.
var mariadbDialect = dialect{
	kind:       MariaDB,
	connect:    connectMariaDB,
	readers:    16,
	view:       &sql.TxOptions{ReadOnly: true},
	shared:     true,
	claim:      claimMariaDB,
	declare:    declareMariaDB,
	made:       madeMariaDB,
	absent:     absentMariaDB,
	lockSchema: lockMariaDB,
	judge:      judgeMariaDB,
}

func connectMariaDB(source Source, writer bool) (*sql.DB, error) {
	config, err := configMariaDB(source)
	if err != nil {
		return nil, err
	}
	if writer {
		config.Params["idle_write_transaction_timeout"] = fmt.Sprint(silentWriter.Seconds())
		config.Params["innodb_lock_wait_timeout"] = fmt.Sprint(2 * silentWriter.Seconds())
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("database URL %s: %w", source, err)
	}
	return sql.OpenDB(connector), nil
}

// configMariaDB reads a URL with the options that PyMySQL's users write.
func configMariaDB(source Source) (*mysql.Config, error) {
	config := mysql.NewConfig()
	config.User = source.URL.User.Username()
	config.Passwd, _ = source.URL.User.Password()
	config.DBName = source.name()
	config.Net, config.Addr = "tcp", net.JoinHostPort(cmp.Or(source.URL.Hostname(), "127.0.0.1"), cmp.Or(source.URL.Port(), "3306"))
	config.Timeout = connectTimeout
	config.Collation = "utf8mb4_nopad_bin"
	config.ClientFoundRows = true
	// One round trip a statement, and nothing kept on the server: a proxy may stand between.
	config.InterpolateParams = true
	config.MaxAllowedPacket = 0 // what the server allows
	config.Logger = &mysql.NopLogger{}
	config.Params = map[string]string{
		"sql_mode":     "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO'",
		"tx_isolation": "'REPEATABLE-READ'",
	}
	options := source.URL.Query()
	var roots *x509.CertPool
	var own []tls.Certificate
	secure, verify := false, true
	for _, name := range slices.Sorted(maps.Keys(options)) {
		value := options.Get(name)
		switch name {
		case "charset":
			if value != "utf8" && value != "utf8mb4" && value != "utf8mb3" {
				return nil, fmt.Errorf("database URL %s: charset %q: only utf8mb4 is supported", source, value)
			}
		case "unix_socket":
			config.Net, config.Addr = "unix", value
		case "wsrep_sync_wait":
			if len(value) == 0 || strings.Trim(value, "0123456789") != "" {
				return nil, fmt.Errorf("database URL %s: wsrep_sync_wait %q: give a number, 7 for all statements", source, value)
			}
			config.Params["wsrep_sync_wait"] = value
		case "ssl_ca":
			pem, err := os.ReadFile(value)
			if err != nil {
				return nil, fmt.Errorf("database URL %s: ssl_ca: %w", source, err)
			}
			roots, secure = x509.NewCertPool(), true
			if !roots.AppendCertsFromPEM(pem) {
				return nil, fmt.Errorf("database URL %s: ssl_ca: no certificate in %s", source, value)
			}
		case "ssl_cert":
			pair, err := tls.LoadX509KeyPair(value, options.Get("ssl_key"))
			if err != nil {
				return nil, fmt.Errorf("database URL %s: ssl_cert and ssl_key: %w", source, err)
			}
			own, secure = append(own, pair), true
		case "ssl_key":
			if !options.Has("ssl_cert") {
				return nil, fmt.Errorf("database URL %s: ssl_key without ssl_cert", source)
			}
		case "ssl_verify_cert", "ssl_verify_identity":
			secure = true
			verify = verify && value != "false" && value != "0"
		default:
			return nil, fmt.Errorf("database URL %s: unknown option %q; known are charset, unix_socket, wsrep_sync_wait, ssl_ca, ssl_cert, ssl_key, ssl_verify_cert", source, name)
		}
	}
	if secure {
		config.TLS = &tls.Config{RootCAs: roots, Certificates: own, ServerName: source.URL.Hostname(), InsecureSkipVerify: !verify, MinVersion: tls.VersionTLS12}
	}
	return config, nil
}

// claimMariaDB locks the row that every writing transaction changes; on a Galera cluster it is also
// what lets only one of several at once through. LAST_INSERT_ID(x) hands x out with the answer.
func claimMariaDB(ctx context.Context, tx *sql.Tx) (int64, error) {
	result, err := tx.ExecContext(ctx, "UPDATE journal_head SET claims = claims + 1, revision = LAST_INSERT_ID(revision) WHERE id = 1")
	if err != nil {
		return 0, err
	}
	return result.LastInsertId()
}

var sqlLongText = regexp.MustCompile(`\bTEXT\b`)

// declareMariaDB makes texts compare by their bytes with all their spaces, as long as requests may be,
// and integers 64 bits wide, as on SQLite.
func declareMariaDB(statement string) string {
	if !declares(statement) {
		return statement
	}
	statement = sqlInteger.ReplaceAllString(sqlLongText.ReplaceAllString(statement, "MEDIUMTEXT"), "BIGINT")
	if strings.HasPrefix(statement, "CREATE TABLE") {
		statement += " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin ROW_FORMAT=DYNAMIC"
	}
	return statement
}

func madeMariaDB(err error) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && (e.Number == 1050 || e.Number == 1060 || e.Number == 1061) // table, column, index
}

func absentMariaDB(err error) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && e.Number == 1146
}

func lockMariaDB(ctx context.Context, conn *sql.Conn) (func() error, error) {
	var database string
	if err := conn.QueryRowContext(ctx, "SELECT DATABASE()").Scan(&database); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(database)) // names of locks are the server's, and short
	name := "neutrino." + hex.EncodeToString(sum[:16])
	for {
		var got sql.NullInt64
		if err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, 5)", name).Scan(&got); err != nil {
			return nil, err
		}
		if got.Int64 == 1 {
			break
		}
	}
	return func() error {
		_, err := conn.ExecContext(context.WithoutCancel(ctx), "DO RELEASE_LOCK(?)", name)
		return err
	}, nil
}

func judgeMariaDB(err error) error {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		if errors.Is(err, mysql.ErrPktTooLarge) {
			return ErrValue
		}
		if errors.Is(err, mysql.ErrInvalidConn) || lost(err) {
			return ErrUnavailable
		}
		return nil
	}
	switch e.Number {
	case 1213, 1205, 1020: // deadlock or lost certification, lock wait, row changed since
		return ErrRetry
	case 1040, 1053, 1077, 1079, 1047, 1152, 1184, 1203, 1290, 1836, 1927, 1969, 2006, 2013, 4031: // full, going down, not in the cluster, read-only, killed
		return ErrUnavailable
	case 1153, 1264, 1366, 1406, 1301: // packet, range, bytes, length
		return ErrValue
	}
	return nil
}
