package server

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/mark3labs/mcp-go/mcp"
)

// maxMessage bounds one JSON-RPC message, whether a line or a request body, in bytes.
const maxMessage = 4 << 20

// message is what a transport has to know about a JSON-RPC message before mcp-go reads it in full.
type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Meta      json.RawMessage `json:"_meta"`
		RequestID json.RawMessage `json:"requestId"`
		Name      json.RawMessage `json:"name"`
	} `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`

	token  json.RawMessage // the progress token as sent, if there is one
	modern bool            // says that it is of 2026-07-28 or later
}

// parseMessage reads what a transport needs. It fails on what is no JSON object; what a field of the wrong type means is
// left to mcp-go.
func parseMessage(raw []byte) (message, error) {
	var m message
	var wrongType *json.UnmarshalTypeError
	if err := json.Unmarshal(raw, &m); err != nil && (!errors.As(err, &wrongType) || wrongType.Field == "") {
		return message{}, err
	}
	var meta struct {
		Token json.RawMessage `json:"progressToken"`
	}
	_ = json.Unmarshal(m.Params.Meta, &meta)
	if t := meta.Token; len(t) > 0 && bytes.IndexByte([]byte(`"-0123456789`), t[0]) >= 0 {
		m.token = t // a string or a number; nothing else is a token
	}
	var known mcp.Meta // read as mcp-go reads it, so that both see the same era
	_ = json.Unmarshal(m.Params.Meta, &known)
	m.modern = mcp.IsModernProtocol(known.ProtocolVersion())
	return m, nil
}

func (m message) hasID() bool          { return len(m.ID) > 0 && string(m.ID) != "null" }
func (m message) isRequest() bool      { return m.Method != "" && m.hasID() }
func (m message) isNotification() bool { return m.Method != "" && !m.hasID() }
func (m message) isAnswer() bool {
	return m.Method == "" && m.hasID() && (len(m.Result) > 0 || len(m.Error) > 0)
}

func (m message) isCancel() bool {
	return m.isNotification() && m.Method == string(mcp.MethodNotificationCancelled)
}

// errorMessage is the answer to a message that never reaches mcp-go. A nil id is written as null.
func errorMessage(id json.RawMessage, code int, text string) []byte {
	type rpcError struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	if len(id) == 0 {
		id = json.RawMessage("null")
	}
	answer, err := json.Marshal(struct {
		JSONRPC string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Error   rpcError        `json:"error"`
	}{mcp.JSONRPC_VERSION, id, rpcError{code, text}})
	if err != nil { // an id that was parsed as JSON marshals as JSON
		return []byte(`{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"internal error"}}`)
	}
	return answer
}
