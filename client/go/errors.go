package standpipe

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// CallError is what a call tells that the server, or the way to it, refused.
type CallError struct {
	// Code is the gRPC status.
	Code codes.Code
	// Message is for people.
	Message string
	// Reason is for programs: "LIMIT_EXCEEDED", "QUEUE_FULL"; empty where no server answered.
	Reason string
	// Domain is who gave the reason: "standpipe", or what stands between.
	Domain string
	// Metadata is what the reason is about, such as the model's name and the request id.
	Metadata map[string]string
	// Fields is what is wrong with which field of the request, by its path: "texts[3]".
	Fields map[string]string
	// RetryAfter is when a retry is worth while; nil where none is.
	RetryAfter *time.Duration

	status *status.Status
}

// ErrorOf returns what a stub's error, or one that wraps it, tells; nil where err comes from no call. Don't return it as an
// error unasked: an error that holds this nil isn't nil.
func ErrorOf(err error) *CallError {
	var call interface{ GRPCStatus() *status.Status }
	if !errors.As(err, &call) {
		return nil
	}
	told := call.GRPCStatus()
	e := &CallError{
		Code:     told.Code(),
		Message:  told.Message(),
		Metadata: map[string]string{},
		Fields:   map[string]string{},
		status:   told,
	}
	for _, detail := range told.Details() {
		e.read(detail)
	}
	return e
}

func (e *CallError) read(detail interface{}) {
	switch detail := detail.(type) {
	case *errdetails.ErrorInfo:
		e.Reason, e.Domain = detail.Reason, detail.Domain
		for key, value := range detail.Metadata {
			e.Metadata[key] = value
		}
	case *errdetails.BadRequest:
		for _, violation := range detail.FieldViolations {
			e.Fields[violation.Field] = violation.Description
		}
	case *errdetails.RetryInfo:
		delay := detail.RetryDelay.AsDuration()
		e.RetryAfter = &delay
	}
}

// Error names the status, the message and each field that is wrong.
func (e *CallError) Error() string {
	problems := make([]string, 0, len(e.Fields))
	for path, problem := range e.Fields {
		problems = append(problems, fmt.Sprintf("; %s: %s", path, problem))
	}
	sort.Strings(problems)
	return fmt.Sprintf("%v: %s%s", e.Code, e.Message, strings.Join(problems, ""))
}

// GRPCStatus lets google.golang.org/grpc/status read a CallError as it reads a stub's error.
func (e *CallError) GRPCStatus() *status.Status {
	return e.status
}
