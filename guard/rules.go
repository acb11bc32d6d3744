package guard

import "github.com/outdial/outdial/phone"

// Rule is one row of the guard's table.
type Rule struct {
	Number   int    // as the operator's documents count them; 0: none
	Code     string // in an error's reason, and in refusals[].code
	Refuses  string // what it refuses
	Settings []string
	Lifted   string // what lets a call through all the same

	judge func(*Guard, Wish, phone.Facts) *Refusal // nil: it is kept before a number is there to be judged, or elsewhere
	form  bool                                     // it holds for calls that ring nobody too
}

// Rules are all rules in the order in which they are judged.
func Rules() []Rule {
	return []Rule{
		{
			Number: 5, Code: "emergency_number", form: true,
			Refuses: "emergency numbers, by their digits alone: those of the default region, or of every region where none is set; after a calling code, those of every region that shares it",
			Lifted:  "nothing",
		},
		{
			Number: 3, Code: "bad_number", form: true,
			Refuses: "what is not one number in ASCII E.164 form, or national digits where a region is set: no extensions, letters, lists, `tel:`, `*` and `#` codes, digits of other scripts",
			Lifted:  "writing it in E.164 form",
		},
		{Number: 4, Code: "invalid_number", form: true, Refuses: "numbers that do not exist in any numbering plan", Lifted: "nothing"},
		{
			Number: 1, Code: "dialing_disabled", judge: (*Guard).disabled, Settings: []string{"dialing"},
			Refuses: "every call, while the operator has switched dialing off",
			Lifted:  "`OUTDIAL_DIALING=on`, and `outdial policy --dialing on`",
		},
		{
			Number: 2, Code: "forbidden", judge: (*Guard).forbidden, form: true,
			Refuses: "every call of a token without the scope `calls:place`; at the terminal, over stdio and where no authentication is set up everybody has it",
			Lifted:  "a token with the scope: `outdial token new`, or the authorization server",
		},
		{
			Number: 25, Code: "clock_wrong", judge: (*Guard).clock,
			Refuses: "every call through a provider whose clock, as its answers' Date tells, differs from this machine's by more than 5 minutes: hours and limits mean nothing then",
			Lifted:  "setting the clock",
		},
		{
			Number: 6, Code: "region_not_allowed", judge: (*Guard).region, Settings: []string{"regions"},
			Refuses: "regions that the provider does not cover (StepOne: CN; Pamela: US, CA), or that are not on the operator's list, and numbers of no country; by the number's region, never by its calling code",
			Lifted:  "the list, within what the provider covers",
		},
		{
			Number: 7, Code: "number_type", judge: (*Guard).numberType, form: true,
			Refuses: "numbers that are not FIXED_LINE, MOBILE, FIXED_LINE_OR_MOBILE, VOIP or TOLL_FREE; the North American exchange 976 and 555-1212 count as PREMIUM_RATE",
			Lifted:  "for UAN and SHARED_COST, such as service lines: an entry among the contacts; for PREMIUM_RATE, PAGER, VOICEMAIL, PERSONAL_NUMBER and UNKNOWN: nothing",
		},
		{
			Number: 8, Code: "do_not_call", judge: (*Guard).doNotCall,
			Refuses: "numbers on the do-not-call list: the operator's entries, and for 30 days those of whoever asked on the line not to be called again",
			Lifted:  "`outdial dnc remove`",
		},
		{
			Number: 9, Code: "not_a_contact", judge: (*Guard).stranger, Settings: []string{"callees"},
			Refuses: "whoever is not among the operator's contacts, where only those may be called",
			Lifted:  "`outdial contacts add`",
		},
		{
			Number: 10, Code: "needs_confirmation", judge: (*Guard).heard,
			Refuses: "a number that was spoken on a line, as digits, in the last 24 hours, until a person has allowed the call",
			Lifted:  "a person's yes; an entry among the contacts",
		},
		{
			Number: 12, Code: "quiet_hours", judge: (*Guard).quiet, Settings: []string{"calling_hours"},
			Refuses: "calls outside the calling hours where the number is: in every zone in which it may be. A contact's own zone and hours go before. Toll-free numbers are exempt",
			Lifted:  "a contact's zone and hours",
		},
		{
			Number: 14, Code: "too_soon", judge: (*Guard).tooSoon, Settings: []string{"number_gap"},
			Refuses: "the same number soon after a call to it has ended: 10 minutes; 2 after no answer, busy or failed; 24 hours after it was declined. 30 minutes after a dial of which nobody knows whether it rang, whatever the setting",
			Lifted:  "time; `outdial resolve` for a dial that is unconfirmed",
		},
		{
			Number: 15, Code: "number_limit", judge: (*Guard).perNumber, Settings: []string{"calls_per_number"},
			Refuses: "more calls to one number in 24 hours, whoever places them", Lifted: "time",
		},
		{
			Number: 16, Code: "rate_limited", judge: (*Guard).perPrincipal, Settings: []string{"calls_per_hour", "calls_per_day"},
			Refuses: "more calls of one principal in an hour, or in 24", Lifted: "time",
		},
		{
			Number: 17, Code: "new_number_limit", judge: (*Guard).newNumbers, Settings: []string{"new_numbers_per_day"},
			Refuses: "more numbers in 24 hours that a principal has not called before and that are no contacts", Lifted: "time; an entry among the contacts",
		},
		{
			Number: 18, Code: "busy", judge: (*Guard).busy, Settings: []string{"concurrent_calls"},
			Refuses: "a second call to a number while one goes on, and more calls at once than allowed. A call that is wrapping up counts no more; an unconfirmed one until its greatest length is over. Two dials to one number at the same moment are refused whatever the setting",
			Lifted:  "the end of the earlier call",
		},
		{
			Number: 20, Code: "budget_exceeded", judge: (*Guard).money, Settings: []string{"budget_call", "budget_day", "budget_principal", "budget_month", "rates"},
			Refuses: "a call whose worst case (its greatest length at the provider's rate, by started minutes) does not fit into what is left for a call, for 24 hours, for 30 days; a provider without a rate; a currency that a budget does not name. The worst case is reserved with the call and settled at its end; a dial of which nobody knows keeps it",
			Lifted:  "time; the budget",
		},
		{
			Number: 21, Code: "needs_confirmation", judge: (*Guard).unconfirmed, Settings: []string{"confirm"},
			Refuses: "a call that a person has not allowed: every one (`always`), or the first to a number that is no contact, where the client can ask a person (`first_contact`)",
			Lifted:  "a person's yes, for this call word for word, once, within five minutes",
		},
		{
			Number: 24, Code: "paused", judge: (*Guard).paused, Settings: []string{"pause_after_failures", "pause_after_refusals"},
			Refuses: "a provider for 10 minutes after 5 calls through it failed or became uncertain within 10; a principal for 15 minutes after 3 refusals within 5 (`do_not_call`, `region_not_allowed`, `number_type`, and a person's no)",
			Lifted:  "time",
		},
	}
}
