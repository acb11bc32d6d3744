package phone

import (
	"strings"
	"unicode"
)

// OptsOut says whether somebody asks not to be called again, in English or Chinese, as a recogniser of speech writes it:
// without punctuation, with fillers, in any case and width. It takes a clear wish whose reach is open ("don't call me")
// for one, and none that is bound to a time, a name or somebody else ("don't call me before nine", "don't call me John",
// "don't call him, call me").
//
// It knows phrases, not meanings: irony, quotations and other languages escape it. Time is linear in the text.
func OptsOut(text string) bool {
	s := read(text)
	return s.english() || s.chinese()
}

// speech is a text in the two forms that the rules read.
type speech struct {
	words []string // lower case, without apostrophes and fillers; "" where a clause ends
	han   string   // without spaces, in simplified characters where the rules need it; "|" where a clause ends
}

// read brings a text into form.
func read(text string) speech {
	var s speech
	var latin, han strings.Builder
	foreign, filler := false, false
	word := func() {
		w := latin.String()
		if w == "" {
			return
		}
		latin.Reset()
		han.WriteString(w)
		last := len(s.words) - 1
		switch {
		case among(w, "uh um umm erm er ah eh hmm please pls plz kindly just fucking freaking damn goddamn bloody really actually simply literally honestly"):
			if filler = last >= 0; filler && s.words[last] == "" {
				s.words = s.words[:last]
			}
			return
		case w == "t" && last >= 0 && strings.HasSuffix(s.words[last], "n"):
			s.words[last] += "t"
		case w == "not" && last >= 0 && s.words[last] == "do", w == "donot" || w == "dnt":
			if w == "not" {
				s.words = s.words[:last]
			}
			s.words = append(s.words, "dont")
		case w == "ever" && last > 0 && s.words[last] == "" && s.words[last-1] == "dont": // "Don't. Ever. Call"
			s.words = append(s.words[:last], w)
			filler = true
			return
		case w == "robocalls" || w == "phonecalls":
			s.words = append(s.words, "calls")
		case w == "u" || w == "ya" || w == "yall":
			s.words = append(s.words, "you")
		default:
			s.words = append(s.words, w)
		}
		filler = false
	}
	for _, r := range text {
		if r >= '！' && r <= '～' {
			r -= '！' - '!'
		}
		r = unicode.ToLower(unicode.ToUpper(r))
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			latin.WriteRune(r)
		case strings.ContainsRune("'’‘ʼ´`′", r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Mn, r):
		case strings.ContainsRune(".,;:!?…。，、；：！？", r):
			word()
			if !filler && len(s.words) > 0 && s.words[len(s.words)-1] != "" {
				s.words = append(s.words, "")
			}
			han.WriteByte('|')
		case unicode.IsLetter(r):
			word()
			if r = simplified(r); unicode.Is(unicode.Han, r) {
				foreign = true
			}
			han.WriteRune(r)
			if len(s.words) > 0 && s.words[len(s.words)-1] != "" {
				s.words = append(s.words, "")
			}
		default:
			word()
		}
	}
	word()
	if foreign {
		s.han = han.String()
	}
	return s
}

// simplified maps the traditional characters that the rules look at.
func simplified(r rune) rune {
	const traditional, plain = "別電話給們這個號碼機來過進單從刪請應該準許聯絡騷擾煩訴舉報鎖資庫統錄檔後時點鐘週禮現沒無須還說讓麼嗎訂銷謝絕總亂續開對會誰將媽撥願聽裡裏邊樣種與隨錯頻復遠註辦記訊數據妳員務級區處黨佔纏攔線紀係離關業廣賬屬類動見線廣證",
		"别电话给们这个号码机来过进单从删请应该准许联络骚扰烦诉举报锁资库统录档后时点钟周礼现没无须还说让么吗订销谢绝总乱续开对会谁将妈拨愿听里里边样种与随错频复远注办记讯数据你员务级区处党占缠拦线纪系离关业广账属类动见线广证"
	if i := strings.IndexRune(traditional, r); i >= 0 {
		for _, to := range plain[i:] { // both are of three bytes a character
			return to
		}
	}
	return r
}

// among says whether a list of words, with spaces between them, has a word.
func among(word, list string) bool {
	if word == "" {
		return false
	}
	for at := 0; ; {
		i := strings.Index(list[at:], word)
		if i < 0 {
			return false
		}
		from, to := at+i, at+i+len(word)
		if (from == 0 || list[from-1] == ' ') && (to == len(list) || list[to] == ' ') {
			return true
		}
		at = from + 1
	}
}

// at is a word, and the end of a clause where there is none.
func (s speech) at(i int) string {
	if i < 0 || i >= len(s.words) {
		return ""
	}
	return s.words[i]
}

// behind says whether one of a list stands in the n words before i, in its clause.
func (s speech) behind(i, n int, list string) bool {
	for k := i - 1; k >= i-n && s.at(k) != ""; k-- {
		if among(s.at(k), list) {
			return true
		}
	}
	return false
}

// near says whether one of a list stands in n words from i on, before the clause ends.
func (s speech) near(i, n int, list string) bool {
	for k := i; k < i+n && s.at(k) != ""; k++ {
		if among(s.at(k), list) {
			return true
		}
	}
	return false
}

const (
	toCall     = "call phone ring dial telephone contact bother disturb harass pester annoy hassle spam use reach"
	calling    = "calling phoning ringing dialing dialling telephoning contacting bothering disturbing harassing pestering annoying hassling spamming hounding using blowing"
	beCalled   = "called phoned rung dialed dialled telephoned contacted bothered disturbed harassed"
	others     = "you anyone anybody someone somebody them people guys folks company your"
	wanting    = "wanna permission authorize want wants wanting need needs wish wishes like care consent agree"
	lines      = "number numbers phone cell cellphone mobile line landline house home place office work extension residence telephone household family business desk store shop address"
	everLess   = "again anymore ever never"
	subjects   = "i we they he she it who which id ill ive im"
	modals     = "could can would will should must may shall might"
	between    = "my back to be being keep try trying again bother and or text texting email emailing write message visit get getting receive receiving have take any more further make making the these this those all of with from allowed permitted supposed going think thinking about even dare come give reason point phone telephone robo sales spam nuisance unwanted daily constant here on by it me us another other such start so long longer if " + everLess + " " + others + " " + wanting
	shortTimes = "now day days week weekend weekends weeks hour hours minute minutes while bit moment today tonight night morning mornings afternoon evening evenings noon lunch lunchtime dinner midnight early late time times one two three four five six seven eight nine ten eleven twelve monday tuesday wednesday thursday friday saturday sunday mondays tuesdays wednesdays thursdays fridays saturdays sundays holiday holidays christmas vacation middle meeting oclock am pm"
)

// english looks for a wish in the English words.
func (s speech) english() bool {
	for i, w := range s.words {
		switch {
		case among(w, toCall), among(w, calling), among(w, beCalled), w == "calls":
			if s.refused(i) || s.threat(i) {
				return true
			}
		case among(w, "hear talk speak"):
			if s.at(i+2) == "you" && among(s.at(i+1), "from to with") && s.refused(i) {
				return true
			}
		case among(w, "remove take delete erase scrub scratch strike drop get cross wipe pull purge lose forget removed taken deleted erased want"):
			if s.delisted(i) {
				return true
			}
		case among(w, "list registry register lists") && (s.at(i-1) == "call" && among(s.at(i-2), "dont no not") || s.at(i-1) == "dnc"):
			return true
		case w == "list" && s.behind(i, 4, "on") && s.behind(i, 7, "be") && s.behind(i, 10, wanting) && s.behind(i, 11, "dont longer"):
			return true
		case w == "unsubscribe" && !s.near(i+1, 6, "newsletter newsletters email emails mail magazine channel podcast"):
			if !among(s.at(i-1), "dont didnt not never i we") || s.at(i-2) == "can" {
				return true
			}
		case w == "unsubscribed" && among(s.at(i-1), "be me us number"):
			return true
		case among(w, "opt opting"):
			k := i + 1
			if among(s.at(k), "me us") {
				k++
			}
			if s.at(k) == "out" && (s.goesOn(k+1) || s.at(k+1) == "of" && s.near(k+2, 5, "calls calling call list lists this it contact everything phone called future")) {
				return true
			}
		case w == "alone" && (among(s.at(i-1), "me us") && s.at(i-2) == "leave" || s.at(i-1) == "family" && s.at(i-3) == "leave"):
			if s.goesOn(i+1) && !s.behind(i-1, 4, "dont didnt never not") {
				return true
			}
		case among(w, "blocking blocked block"):
			if among(s.at(i+1), "you your this") && (s.at(i+1) == "you" || s.near(i+2, 2, "number calls")) && s.behind(i, 4, "i im ill ive well were gonna me") && !s.behind(i, 4, "dont didnt wont not never") {
				return true
			}
		case among(w, "revoke withdraw") && s.at(i+1) == "my" && s.at(i+2) == "consent":
			return true
		case w == "off" && among(s.at(i-1), "fuck piss bugger"):
			return true
		}
	}
	return false
}

// refused says whether the call at i is one that somebody does not want: it walks back to what negates it, over what may
// stand between.
func (s speech) refused(i int) bool {
	verb := s.at(i)
	if verb == "contact" && among(s.at(i-1), "all any further more") {
		verb = "calls"
	}
	want, other, passive, strong, keeps := false, false, false, false, false
	for j := i - 1; j >= 0 && j > i-14; j-- {
		w, before, first := s.at(j), s.at(j-1), s.at(j-2)
		ok := false
		switch {
		case among(w, "dont never doesnt nobody") || w == "longer" && before == "no":
			switch {
			case w == "longer":
				before, strong = first, true
				ok = want && (other || passive || verb == "calls" || among(verb, "hear talk speak"))
			case want: // "i never want you to call"; "i dont want to call" is another's business
				ok = other || passive || verb == "calls" || among(verb, "hear talk speak")
				if !ok && w != "nobody" && !among(before, subjects) && !among(before, "why if") { // "you dont need to call again"
					return s.near(i+1, 4, everLess) && s.scope(i, j, true, false)
				}
			case w == "nobody" || w == "doesnt" || verb == "calls" && s.at(i-1) == w || among(verb, "hear talk speak"):
				return false
			case among(before, "why if when"), before == "you" && among(first, "if when unless since because until why that"):
				return false
			case among(before, subjects) && !(before == "ill" && w == "dont"): // "my mother is ill dont call"
				return false
			case before == "you" && !among(first, "told thank tell asked said beg ask"):
				if !strong && !s.near(i+1, 4, everLess) {
					return false
				}
				ok = true
			default:
				ok = true
			}
			if among(before, "why if") {
				return false
			}
			ok = ok && (!among(verb, beCalled) || passive || w == "never") && (!among(verb, calling) || keeps || other || want)
			return ok && s.scope(i, j, strong || w == "never", false)
		case w == "not":
			switch {
			case s.at(j+1) == "to":
				ok = !s.behind(j, 4, "me us was decided chose who why try tried best ought")
			case among(before, "mind about appreciate prefer youre better"), before == "":
				ok = true
			case before == "you":
				ok = among(first, modals) || among(first, "rather prefer that are request ask")
			case among(before, modals):
				ok = among(first, "you number") && (strong || s.near(i+1, 4, everLess) || before != "can")
			case among(before, "are is"):
				ok = passive || among(s.at(j+1), "allowed permitted supposed")
			case before == "am", before == "rather":
				ok = passive || among(verb, beCalled)
			}
			return ok && s.scope(i, j, strong, false)
		case w == "no" && among(s.at(j+1), "need reason point"): // "no need to call back" is no wish
			return (strong || s.near(i+1, 5, everLess)) && s.scope(i, j, true, false)
		case among(w, "didnt wouldnt"):
			return before == "you" && (among(first, "rather prefer wish") || among(first, "if that") && s.behind(j-2, 8, "appreciate better nice great good great good like love prefer rather happy grateful best")) && s.scope(i, j, strong, false)
		case among(w, "cant cannot mustnt shouldnt neednt"):
			return before == "you" && s.near(i+1, 5, everLess) && s.scope(i, j, true, false)
		case among(w, "stop quit cease desist refrain avoid end halt enough") || w == "no" && verb == "calls" && among(s.at(j+1), "more further calls"):
			if w == "no" {
				ok = (before == "" || among(before, "want wants said need accept okay ok and")) && (j+1 < i || among(s.at(i+1), "from to here thanks thank") || s.at(i+1) == "")
			} else if verb == "calls" {
				ok = j+1 == i || !among(w, "end halt") || s.near(j+1, 1, "these the your all")
			} else {
				ok = among(verb, calling) && !among(w, "end halt enough")
			}
			if among(before, "dont doesnt didnt never not i ill we well ive cant couldnt") || before == "wont" && first != "you" ||
				before == "will" && first != "you" || before == "to" && (among(first, "me us him her going") || first == "have" && s.at(j-3) == "dont") {
				return false
			}
			return ok && s.scope(i, j, true, true)
		case among(w, between):
			want = want || among(w, wanting)
			other = other || !want && among(w, others) || among(w, "permission my")
			passive = passive || among(w, "be being get getting receive receiving")
			strong = strong || among(w, everLess)
			keeps = keeps || among(w, "be keep try trying bother about start think thinking") || w == "you"
			if among(w, "text email write message visit") && !among(s.at(j+1), "or and") && !among(s.at(j+2), "or and") {
				return false
			}
		default:
			return false
		}
	}
	return false
}

// scope says whether what is said after the call at i leaves a wish not to be called: it is bound to no time, and means
// whoever speaks. What negates stands at j; strong is "never", "again" and the like before the call, and stop "stop".
func (s speech) scope(i, j int, strong, stop bool) bool {
	verb, k := s.at(i), i+1
	if s.at(k) == "up" {
		k++
	}
	self, third, ended := false, false, false
	switch o := s.at(k); {
	case among(verb, "calls hear talk speak"):
		self = true
		for among(s.at(k), "from to with you your people company guys me us") {
			k++
		}
	case among(o, "me us"):
		k++
	case among(o, "my our this that the your these"):
		n := k + 1
		for n < k+4 && s.at(n) != "" && !among(s.at(n), lines) {
			n++
		}
		switch {
		case among(s.at(n), lines):
			self, third = among(o, "my our this these"), among(o, "the your that")
			for k = n + 1; among(s.at(k), lines); k++ {
			}
		case o == "this" || o == "that" || o == "these" || s.at(k+1) == "":
			return s.at(k+1) == "" && o == "this"
		default:
			third, k = true, k+2
		}
	case among(o, "him her them") && !among(verb, "bother disturb annoy hassle") && (stop || strong || s.near(k+1, 2, everLess)):
		third, k = true, k+1
	case o == "it" && verb == "use" && s.near(k+1, 2, everLess) && s.behind(j, 12, "number"):
		self, k = true, k+1
	case among(o, "you it him her them"):
		return false
	}
	if among(verb, "use using reach") && !self {
		return false
	}
	for ; ; k++ {
		w, next := s.at(k), s.at(k+1)
		if among(w, "again anymore ever") || w == "any" && among(next, "more longer") || w == "no" && next == "more" || w == "one" && next == "more" ||
			w == "from" && next == "now" || w == "in" && s.near(k+1, 2, "future") {
			ended = true
			if !among(w, "again anymore ever") {
				k++
			}
			continue
		}
		if w == "by" && among(next, "phone telephone") {
			k++
			continue
		}
		if among(w, "at on to") && among(next, "this my our home work all here any that") && !s.near(k+1, 3, shortTimes) {
			for self, k = true, k+1; among(s.at(k+1), lines); k++ {
			}
			continue
		}
		if !among(w, "here back up future on more anytime either okay ok now") || w == "now" && s.at(k-1) != "from" {
			break
		}
	}
	if s.bound(k) || !strong && !ended && s.boundBefore(j) {
		return false
	}
	end := s.at(k) == ""
	switch {
	case third:
		next := s.at(k)
		if end {
			next = s.at(k + 1)
		}
		return (ended || stop || strong) && (end || ended || s.goesOn(k)) && !among(next, "call phone ring use try dial")
	case among(verb, "bother disturb ringing annoy") && k == i+1:
		return false
	case end || self || ended:
		return true
	}
	return s.goesOn(k)
}

// goesOn says whether a new clause begins at i, or nothing more comes: recognisers set no full stop.
func (s speech) goesOn(i int) bool {
	return s.at(i) == "" || among(s.at(i), "and or but because cause cuz cos i im ill ive id we were you youre it its this okay ok alright all thanks thank got understand understood right do did is are no not so for from about with on at in seriously bye goodbye every constantly stop never dont my what why how please if or else under period ever")
}

// bound says whether the words at i bind a wish to a time or a condition.
func (s speech) bound(i int) bool {
	switch w := s.at(i); {
	case among(w, "before until till til after unless except during while when whenever between tonight today tomorrow now yet early late too right only first without if as through via since"):
		return true
	case among(w, "this so that"):
		return among(s.at(i+1), "early late much often week weekend month morning afternoon evening time soon fast")
	case among(w, "at on in for within"):
		return s.near(i+1, 5, shortTimes) || s.at(i+1) != "" && s.at(i + 1)[0] <= '9'
	}
	return false
}

// boundBefore says whether what leads up to the negation at j binds it: "after ten please don't call".
func (s speech) boundBefore(j int) bool {
	if among(s.at(j-1), "today tonight tomorrow now then") {
		return true
	}
	start := j
	for start > j-8 && s.at(start-1) != "" {
		start--
	}
	if start == j && j > 0 { // the clause before it
		for start--; start > j-8 && s.at(start-1) != ""; {
			start--
		}
	}
	return among(s.at(start), "before after until till when while during if unless between on at")
}

// threat says whether somebody announces what follows if the call at i is repeated.
func (s speech) threat(i int) bool {
	if !s.near(i+1, 5, "again") && !s.behind(i, 4, "again") && !(s.near(i+1, 4, "one once another") && s.near(i+1, 6, "time more")) && !(s.behind(i, 3, "next") && s.at(i-1) == "you") {
		return false
	}
	for k := i + 1; k < i+18; k++ {
		if !among(s.at(k), "i im ill we well were hear") {
			continue
		}
		for n := k + 1; n < k+7 && s.at(n) != ""; n++ {
			switch s.at(n) {
			case "sue", "suing", "police", "cops", "lawyer", "attorney", "fcc", "ftc", "lawsuit":
				return true
			case "report", "reporting", "block", "blocking":
				return among(s.at(n+1), "you your this") || s.at(n+1) == ""
			case "charges", "action":
				return among(s.at(n-1), "press pressing legal")
			case "complaint":
				return among(s.at(n-2), "file filing make making")
			}
		}
	}
	return false
}

// delisted says whether the verb at i asks to strike a number from where it is kept.
func (s speech) delisted(i int) bool {
	verb, before := s.at(i), s.at(i-1)
	if among(before, "dont didnt not never cant wont i we always might") && !(among(before, "i we") && verb == "want") || before == "you" && among(s.at(i-2), "did dont have if") {
		return false
	}
	k, me, number := i+1, false, false
	for ; k < i+7 && s.at(k) != "" && !among(s.at(k), "off from out"); k++ {
		me = me || among(s.at(k), "me us my our this")
		number = number || among(s.at(k), "number numbers details info information data contact name")
	}
	if number && me && among(verb, "remove delete erase scrub scratch wipe purge lose forget") && (s.at(k-1) == "number" || s.at(k-1) == "numbers" || among(verb, "remove delete erase scrub purge")) {
		return !s.near(k, 6, "order reservation booking account plate") && !s.near(i+1, 9, "old new")
	}
	if !among(s.at(k), "off from out") || !me && !(k == i+1 && among(verb, "removed taken deleted erased want")) {
		return false
	}
	if verb == "take" && s.goesOn(k+1) && k == i+2 {
		return s.at(k+1) == ""
	}
	return s.near(k+1, 7, "list lists database databases system systems records record file files directory computer computers book registry register contacts queue") &&
		!s.near(k+1, 5, "waiting wait waitlist guest guests order reservation passenger")
}
