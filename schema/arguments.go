package schema

// CallOptions are what can be said of a call beside whom it is to.
type CallOptions struct {
	Task           string         `json:"task" jsonschema:"What the agent on the line is to do, in plain words with all it must know; in the language of the call." maxlen:"20000"`
	Provider       string         `json:"provider,omitempty" jsonschema:"Which provider places the call; by default the configured one that covers the number. list_providers names them."`
	Language       string         `json:"language,omitempty" jsonschema:"Language of the call as a BCP 47 tag, such as zh or en-US; by default that of the number's country."`
	Voice          string         `json:"voice,omitempty" jsonschema:"A voice of the provider's; list_providers names them."`
	AgentName      string         `json:"agent_name,omitempty" jsonschema:"How the agent on the line calls itself."`
	CallerName     string         `json:"caller_name,omitempty" jsonschema:"On whose behalf the call is made; the agent on the line says so first."`
	MaxDuration    int            `json:"max_duration_seconds,omitempty" jsonschema:"The call's greatest length in seconds, where the provider can limit it (max_duration in list_providers)." min:"1" max:"3600"`
	Options        map[string]any `json:"provider_options,omitempty" jsonschema:"Settings that only the provider knows; list_providers names them."`
	IdempotencyKey string         `json:"idempotency_key,omitempty" jsonschema:"Names this wish to call: the same key is the same call, however often it is sent." maxlen:"200"`
	RepeatOf       string         `json:"repeat_of,omitempty" jsonschema:"The call_id of an earlier call that is repeated on purpose. Without it an equal request within 10 minutes of a call's end gives that call."`
}

// CreateCall are the arguments of create_call.
type CreateCall struct {
	To string `json:"to" jsonschema:"The number to call, in E.164 form such as +8613800138000; national digits only where a default region is set."`
	CallOptions
	WaitSeconds int  `json:"wait_seconds,omitempty" jsonschema:"How long to follow the call before answering, 0 to 45 seconds. 0 answers when the provider has the call." min:"0"`
	DryRun      bool `json:"dry_run,omitempty" jsonschema:"Judge the request and call nobody: check tells what would refuse it."`
}

// CreateBatch are the arguments of create_batch.
type CreateBatch struct {
	Recipients []Recipient `json:"recipients" jsonschema:"Whom to call, 1 to 100." minitems:"1" maxitems:"100"`
	CallOptions
}

// Recipient is one of a batch.
type Recipient struct {
	To        string            `json:"to" jsonschema:"The number to call, in E.164 form."`
	Variables map[string]string `json:"variables,omitempty" jsonschema:"What stands for each {{variable}} of the task."`
}

// GetCall are the arguments of get_call.
type GetCall struct {
	CallID      string `json:"call_id" jsonschema:"The call's id, from create_call or list_calls."`
	AfterSeq    int64  `json:"after_seq,omitempty" jsonschema:"Give only turns changed after this cursor: the next_seq of the answer before." min:"0"`
	WaitSeconds int    `json:"wait_seconds,omitempty" jsonschema:"Wait up to so many seconds, at most 45, until there is something new or the call is over." min:"0"`
}

// StreamTranscript are the arguments of stream_transcript.
type StreamTranscript struct {
	CallID     string `json:"call_id" jsonschema:"The call's id, from create_call or list_calls."`
	AfterSeq   int64  `json:"after_seq,omitempty" jsonschema:"Go on after this cursor: the next_seq of the answer before." min:"0"`
	MaxSeconds *int   `json:"max_seconds,omitempty" jsonschema:"Answer after so many seconds at the latest, at most 45 (the default), even if the call goes on." min:"0"`
}

// ListCalls are the arguments of list_calls.
type ListCalls struct {
	Status   string `json:"status,omitempty" jsonschema:"Only calls in this state." enum:"dialing,queued,ringing,in_progress,wrapping_up,ended,unconfirmed"`
	Provider string `json:"provider,omitempty" jsonschema:"Only calls of this provider."`
	To       string `json:"to,omitempty" jsonschema:"Only calls to this number."`
	Limit    int    `json:"limit,omitempty" jsonschema:"How many at most; 50 by default." min:"1" max:"200"`
	Cursor   string `json:"cursor,omitempty" jsonschema:"The next_cursor of the page before."`
}

// CancelCall are the arguments of cancel_call.
type CancelCall struct {
	CallID string `json:"call_id" jsonschema:"The call's id, from create_call or list_calls."`
}

// CheckBalance are the arguments of check_balance.
type CheckBalance struct {
	Provider string `json:"provider,omitempty" jsonschema:"Only this provider; by default all that are configured."`
}

// CheckNumber are the arguments of check_number.
type CheckNumber struct {
	To       string `json:"to" jsonschema:"The number, in E.164 form; national digits only where a default region is set."`
	Provider string `json:"provider,omitempty" jsonschema:"Which provider would place the call."`
}

// ListProviders are the arguments of list_providers: none.
type ListProviders struct{}

// AnswerQuestion are the arguments of answer_question.
type AnswerQuestion struct {
	QuestionID string `json:"question_id" jsonschema:"The question's id, from the questions of a call."`
	Answer     string `json:"answer" jsonschema:"What the agent on the line is to know, in plain words. It may say it to the person called." maxlen:"20000"`
}
