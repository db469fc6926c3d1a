// Package fault has the one error type that a caller of the API may see.
package fault

import (
	"errors"
	"fmt"
)

// Error is an answer to the caller: the original's error type and HTTP status with a message that
// helps. Anything that is not an Error reaches the caller as a bare 500 and the log in full.
type Error struct {
	Status  int    // HTTP status
	Type    string // the original's exception name, e.g. "NetworkNotFound"
	Message string // for people; says what to change
	Cause   error  // for the operator's log only
}

func (e *Error) Error() string { return e.Type + ": " + e.Message }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New makes an Error with a formatted message.
func New(status int, kind, format string, args ...any) *Error {
	return &Error{Status: status, Type: kind, Message: fmt.Sprintf(format, args...)}
}

// BadRequest is a 400 of the given type.
func BadRequest(kind, format string, args ...any) *Error { return New(400, kind, format, args...) }

// Invalid is the 400 that body shape and attribute rules give.
func Invalid(format string, args ...any) *Error { return New(400, "HTTPBadRequest", format, args...) }

// InvalidInput is the 400 that converters and plugin rules give.
func InvalidInput(format string, args ...any) *Error {
	return New(400, "InvalidInput", "Invalid input for operation: "+format+".", args...)
}

// Forbidden is the 403 of a policy denial.
func Forbidden(format string, args ...any) *Error {
	return New(403, "PolicyNotAuthorized", format, args...)
}

// NotFound is a 404 of the given type.
func NotFound(kind, format string, args ...any) *Error { return New(404, kind, format, args...) }

// Conflict is a 409 of the given type.
func Conflict(kind, format string, args ...any) *Error { return New(409, kind, format, args...) }

// As finds the Error in err's chain.
func As(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}

// IsNotFound says whether err is an Error with status 404.
func IsNotFound(err error) bool {
	e, ok := As(err)
	return ok && e.Status == 404
}
