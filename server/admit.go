package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"

	"github.com/outdial/outdial/auth"
	"github.com/outdial/outdial/phone"
)

// admit tells on whose account a request is, or answers why it goes no further. Nothing of its body is read for that. The
// token must have one of the scopes. Where no authentication is set up, everybody at this machine is the local caller, and
// nobody else: who comes by another name than loopback's, or through a proxy that says so.
//
// A token is judged before anything is counted, so that no number of wrong ones keeps a right one out.
func (e *Endpoint) admit(w http.ResponseWriter, r *http.Request, scopes ...string) (auth.Identity, bool) {
	if e.options.Auth == nil && fromElsewhere(r, ownAddress(r)) {
		refuse(w, r, http.StatusForbidden, "Forbidden: this server asks nobody who they are, so it takes no calls from beyond its machine; its operator can set OUTDIAL_TOKENS_FILE or OUTDIAL_OAUTH_ISSUER")
		return auth.Identity{}, false
	}
	if e.options.Auth == nil {
		return auth.Nobody(), true
	}
	token, wrong := bearer(r)
	switch {
	case wrong != "":
		e.options.Metrics.notAdmitted("malformed")
		e.challenge(w, r, http.StatusBadRequest, "invalid_request", wrong, scopes)
		return auth.Identity{}, false
	case token == "":
		e.options.Metrics.notAdmitted("missing")
		e.challenge(w, r, http.StatusUnauthorized, "", "send a token: Authorization: Bearer …", scopes)
		return auth.Identity{}, false
	}
	id, err := e.options.Auth.Identify(r.Context(), token)
	if err == nil {
		if slices.ContainsFunc(scopes, id.Caller.May) {
			return id, true
		}
		e.options.Metrics.notAdmitted("scope")
		e.challenge(w, r, http.StatusForbidden, "insufficient_scope", "the token has none of the scopes for this", scopes)
		return auth.Identity{}, false
	}
	wait, flood := e.attempts.failed(r.RemoteAddr, time.Now(), func(n int, from string) {
		e.options.Log.Warn().Int("failed", n).Str("from", from).Str("last", err.Error()).Msg("requests with tokens that are not taken")
	})
	switch {
	case errors.Is(err, auth.ErrUnavailable):
		e.options.Metrics.notAdmitted("unavailable")
		w.Header().Set("Retry-After", "5")
		refuse(w, r, http.StatusServiceUnavailable, "tokens cannot be checked now: try again in a moment")
	case flood:
		e.options.Metrics.notAdmitted("flood")
		w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())+1))
		e.challenge(w, r, http.StatusTooManyRequests, "invalid_token", "too many tokens that are not taken: try again later", scopes)
	default:
		e.options.Metrics.notAdmitted("invalid")
		e.challenge(w, r, http.StatusUnauthorized, "invalid_token", "the token is not valid here, or no longer", scopes)
	}
	return auth.Identity{}, false
}

// bearer gives the token of a request: one, in the one header that it may be in.
func bearer(r *http.Request) (token, wrong string) {
	// The query is read as leniently as anything in between might read it.
	for _, pair := range strings.FieldsFunc(r.URL.RawQuery, func(c rune) bool { return c == '&' || c == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		if strings.EqualFold(strings.TrimSpace(name), "access_token") {
			return "", "a token in an address ends up in logs, and is not taken there; use a new one, in the Authorization header"
		}
	}
	given := r.Header.Values("Authorization")
	switch len(given) {
	case 0:
		return "", ""
	case 1:
	default:
		return "", "send one Authorization header"
	}
	scheme, token, _ := strings.Cut(given[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", ""
	}
	if token = strings.Trim(token, " "); token == "" || strings.ContainsAny(token, " \t,") {
		return "", "the Authorization header must be the word Bearer and one token"
	}
	return token, ""
}

// challenge refuses a request and says how to come by a token that would do (RFC 6750, RFC 9728).
func (e *Endpoint) challenge(w http.ResponseWriter, r *http.Request, status int, code, text string, scopes []string) {
	fields := []string{`realm="outdial"`}
	if code != "" {
		fields = append(fields, fmt.Sprintf("error=%q", code))
	}
	fields = append(fields, fmt.Sprintf("scope=%q", strings.Join(scopes, " ")))
	if at := e.metadataURL(); at != "" {
		fields = append(fields, fmt.Sprintf("resource_metadata=%q", at))
	}
	w.Header().Set("WWW-Authenticate", "Bearer "+strings.Join(fields, ", "))
	refuse(w, r, status, text)
}

// refuse answers a request whose body is not read. With one the connection is closed: else net/http would wait for a body
// that may never end before it lets the answer out.
func refuse(w http.ResponseWriter, r *http.Request, status int, text string) {
	if r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, text, status)
}

// scopeFor is what a message needs: to place calls for a tool that is not read-only, and for the answer to a question, which
// may let a call go through.
func (e *Endpoint) scopeFor(m message) string {
	if m.isAnswer() {
		return phone.PlaceScope
	}
	if m.Method != string(mcp.MethodToolsCall) {
		return phone.ReadScope
	}
	var name string
	_ = json.Unmarshal(m.Params.Name, &name)
	if tool := e.tools.GetTool(name); tool != nil {
		if reads := tool.Tool.Annotations.ReadOnlyHint; reads == nil || !*reads {
			return phone.PlaceScope
		}
	}
	return phone.ReadScope
}

// mayDo answers a caller who may not do what a message asks. The tools ask again, each for itself.
func (e *Endpoint) mayDo(w http.ResponseWriter, r *http.Request, m message, who phone.Caller) bool {
	scope := e.scopeFor(m)
	if who.May(scope) {
		return true
	}
	e.options.Metrics.notAdmitted("scope")
	e.challenge(w, r, http.StatusForbidden, "insufficient_scope", "the token may not do this: it needs the scope "+scope, []string{scope})
	return false
}

// resource is what OAuth tokens are for: the address of /mcp, as clients know it.
func (e *Endpoint) resource() string {
	if e.options.Auth == nil || e.options.Auth.Issuer() == "" {
		return ""
	}
	return e.options.PublicURL + "/mcp"
}

func (e *Endpoint) metadataURL() string {
	at := e.resource()
	if at == "" {
		return ""
	}
	return e.options.PublicURL + mcpserver.ProtectedResourceMetadataPath(at)
}

// metadata tells which authorization server gives tokens for this one (RFC 9728). It needs no token: who has none asks.
func (e *Endpoint) metadata(w http.ResponseWriter, r *http.Request) {
	if e.resource() == "" {
		http.NotFound(w, r)
		return
	}
	mcpserver.NewProtectedResourceMetadataHandler(mcpserver.ProtectedResourceMetadataConfig{
		Resource: e.resource(), AuthorizationServers: []string{e.options.Auth.Issuer()},
		ScopesSupported: []string{phone.PlaceScope, phone.ReadScope}, BearerMethodsSupported: []string{"header"}, ResourceName: "outdial",
	}).ServeHTTP(w, r)
}

// until returns a context that ends when the token of a stream that would never end by itself is not taken any more.
func (e *Endpoint) until(ctx context.Context, id auth.Identity) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	tick := time.NewTicker(e.recheck)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if !id.Still() {
					cancel()
				}
			}
		}
	}()
	return ctx, func() {
		tick.Stop()
		cancel()
		<-done
	}
}
