package phone

import (
	"strings"
	"unicode/utf8"
)

const (
	noCalls = "别 不要 不准 不许 不得 勿 莫 甭 休想 停止 禁止 谢绝 拒绝 唔好 咪再 不必 不用 不需要 无需 无须 毋须 没必要 没有必要 不想 不希望 不愿 不接受 不欢迎 不能 不可以 不可 不再 少"
	needs   = "不必 不用 不需要 无需 无须 毋须 没必要 没有必要" // no wish by themselves: "到了不用打电话"
	wishes  = "不想 不希望 不愿 不接受 不欢迎"           // of what others do
	cannot  = "不能 不可以 不可"
	calls   = "扰 打 拨打 拨 来电 致电 去电 联系 联络 骚扰 打扰 打搅 烦 呼叫 call 推销 纠缠"
	// what may stand between the refusal and the call
	onTheWay = "再又老总是一直天每继续随便乱来晚成整给俾畀我们跟和与同对向往这个号码儿里边任何人你您让叫接到收听见看去主动频繁没事样种地的用电话手机家以方式时三番五次反复有谁打拨想着拿会被什么类此今后意愿任推销"
	ends     = "了啦喇吧啊呀吗么嘛呢哈哦噢行好谢拜托麻可okay"
)

// chinese looks for a wish in the Chinese characters.
func (s speech) chinese() bool {
	for i, r := range s.han {
		rest := s.han[i:]
		switch {
		case strings.ContainsRune("别不勿莫甭休停禁谢拒唔咪无毋没少", r):
			if no := starts(rest, noCalls); no != "" && s.unwanted(i, no) {
				return true
			}
		case r == '再':
			if warned(rest) {
				return true
			}
		case r == '拉' && strings.HasPrefix(rest, "拉黑"), r == '黑' && strings.HasPrefix(rest, "黑名单") && holds(s.before(i, 6), "加 拉 进 列 放 拖 入"), starts(rest, "屏蔽你 封锁你 屏蔽这个号 封锁这个号") != "":
			if !holds(s.before(i, 8), "别 不要 没 不会 被 误 解除 移出") && !holds(s.after(i+len("黑名单"), 4), "出来 移出 删 里") {
				return true
			}
		case strings.ContainsRune("删移去剔拿划清抹注撤除忘", r):
			if d := starts(rest, "删 移除 移出 移走 去掉 去除 除名 除掉 剔除 拿掉 划掉 清除 清掉 抹掉 抹去 注销 撤下 忘掉"); d != "" && s.struck(i, d) {
				return true
			}
		case strings.HasPrefix(rest, "退订"), strings.HasPrefix(rest, "取消订阅"):
			if !holds(s.before(i, 8)+s.after(i, 10), "可 能 吗 怎 房 酒店 票 会员 套餐 课 餐 座 短信 邮件 险 不 别") && (utf8.RuneCountInString(s.before(i, 6)) < 5 || starts(rest, "退订电话 退订你们 退订来电") != "") {
				return true
			}
		}
	}
	return false
}

// starts gives the first of a list that s begins with.
func starts(s, list string) string {
	for w := range strings.SplitSeq(list, " ") {
		if strings.HasPrefix(s, w) {
			return w
		}
	}
	return ""
}

// closes gives the first of a list that s ends with.
func closes(s, list string) string {
	for w := range strings.SplitSeq(list, " ") {
		if strings.HasSuffix(s, w) {
			return w
		}
	}
	return ""
}

// holds says whether one of a list is in s.
func holds(s, list string) bool {
	for w := range strings.SplitSeq(list, " ") {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}

// before is what stands before i in its clause, at most n characters.
func (s speech) before(i, n int) string {
	from := i
	for ; n > 0 && from > 0; n-- {
		r, size := utf8.DecodeLastRuneInString(s.han[:from])
		if r == '|' {
			break
		}
		from -= size
	}
	return s.han[from:i]
}

// after is what stands from i on, at most n characters, over the ends of clauses.
func (s speech) after(i, n int) string {
	if i >= len(s.han) {
		return ""
	}
	for at := range s.han[i:] {
		if n--; n < 0 {
			return s.han[i : i+at]
		}
	}
	return s.han[i:]
}

// unwanted says whether the refusal at i is of calls.
func (s speech) unwanted(i int, no string) bool {
	lead, at := s.before(i, 12), i+len(no)
	switch {
	case no == "别" && (closes(lead, "特 分 区 级 性 告 道 识 判 差 辨 类 离 鉴 派") != "" || starts(s.han[at:], "人 的 处") != ""),
		strings.HasPrefix(no, "不") && strings.HasSuffix(lead, strings.TrimPrefix(s.after(i, 2), "不")), // "要不要再打"
		no == "不再" && !strings.HasPrefix(s.han[at:], "拨"),
		no == "少" && starts(s.han[at:], "给我打 打电话 来烦 来骚扰 骚扰 烦我") == "",
		holds(lead, "如果 要是 若"), bindsBefore(lead):
		return false
	}
	strong := holds(lead, "以后 今后 往后 永远 从此 从今 之后")
	var path string
	for range 18 {
		rest := s.han[at:]
		if strings.HasPrefix(rest, "|") || rest == "" {
			return false
		}
		path = s.han[i+len(no) : at]
		strong = strong || holds(path, "再 永远 以后 今后")
		theirs := holds(path, "你 您 接 收 听 被 人 任何") && (strong || holds(path, "你 您 种 任何 推销 被 人"))
		if among(no, wishes) && theirs && starts(rest, "电话 来电") != "" && !strings.HasSuffix(path, "打") && (strong || starts(rest, "电话订 电话预") == "") {
			return true
		}
		if v := starts(rest, calls); v != "" {
			fits := true
			switch {
			case among(no, needs):
				fits = strong
			case among(no, wishes):
				fits = theirs || starts(no+rest, "不接受推销 不欢迎来电 不接受来电") != ""
			case among(no, cannot):
				fits = strong && closes(lead, "我 我们 他 她") == ""
			}
			if fits && means(rest[len(v):], v, strong) {
				return true
			}
		}
		if strings.HasPrefix(rest, "没完没了") {
			at += len("没完没了")
			continue
		}
		r, size := utf8.DecodeRuneInString(rest)
		if !strings.ContainsRune(onTheWay, r) {
			if starts(rest, "妈 爸 老婆 老公 太太 孩子 父母") == "" || !strong {
				return false
			}
		}
		at += size
	}
	return false
}

// bindsBefore says whether what leads up to a refusal binds it to a time.
func bindsBefore(lead string) bool {
	for {
		w := closes(lead, "请 就 都 千万 您 你 们 尽量 最好 麻烦 也 可")
		if w == "" {
			break
		}
		lead = strings.TrimSuffix(lead, w)
	}
	if closes(lead, "点 点钟 点半 之前 以前 点前 时候 时 期间 今天 今晚 明天 现在 晚上 早上 中午 上午 下午 周末 半夜 夜里 深夜 这会儿 这几天 这两天 先 暂时 班前 睡觉前 到了") != "" {
		return true
	}
	for _, w := range []string{"以后", "之后", "后"} {
		if what, ok := strings.CutSuffix(lead, w); ok {
			return closes(what, "点 钟 班 饭 觉 晚 学 会 课 到家 半") != ""
		}
	}
	return false
}

// means says whether what follows a refused call leaves it a wish: not of something else that the verb can mean, not for
// another person and not for a while.
func means(rest, verb string, strong bool) bool {
	all, self, done := rest, false, false
	if among(verb, "骚扰 打扰 打搅 烦 联系 联络 纠缠") && starts(rest, "我的 我") == "" && (verb == "烦" || starts(rest, "他 她 你 您 它 客 别 大 妈 爸 孩") != "") && rest != "" && rest[0] != '|' && !strings.ContainsRune(ends, first(rest)) {
		return false
	}
	for {
		w := starts(rest, "扰 搅 电话 来电 过来 进来 回来 来 嚟 到我 到这 给我们 给我 俾我 畀我 我们 我的 我家 我 这个 这支 这 此 本 号码 手机 号 的电话 电话 多 一次 call 打 拨")
		if w == "" {
			break
		}
		if w == "到这" || w == "这个" || w == "这支" || w == "这" || w == "此" || w == "本" || w == "给我们" {
			self = true
		}
		rest, done = rest[len(w):], true
	}
	if starts(rest, "的时候 的 错 上 前 之前 以前") != "" || starts(rest, "给 他 她 它") != "" {
		return false
	}
	window, n := all, 0
	for at := range all {
		if n++; n > 28 {
			window = all[:at]
			break
		}
	}
	if holds(window, "明天再 改天再 晚点再 晚些再 下午再 晚上再 回头再 会再 会儿再 几天再 下周再 点再 之后再 有空再 到时再 我打给你 我打给您 我再打 我给你打 我给您打 我会打 我来打 我打过去 我打回去") {
		return false
	}
	turned := holds(window, "打我手机 打手机 打另 打他 打她 打座机 打公司 打办公室 打给他 打给她 打给我 打前台 打店") || !strong && starts(strings.TrimLeft(rest, "了|"), "直接") != ""
	end := rest == "" || rest[0] == '|'
	switch {
	case turned && !self:
		return false
	case end, strings.ContainsRune(ends, first(rest)):
		return true
	case !done && among(verb, "打 拨 烦 扰 call"):
		return false
	}
	return strong || self || strings.ContainsRune("你您咱请否不再就要会这以真烦都因别快没我", first(rest))
}

// first is the first character.
func first(s string) rune {
	r, _ := utf8.DecodeRuneInString(s)
	return r
}

// warned says whether somebody announces what follows another call.
func warned(rest string) bool {
	rest = strings.TrimPrefix(rest, "再")
	for _, w := range []string{"给我", "敢", "来", "继续", "跟我", "这样"} {
		rest = strings.TrimPrefix(rest, w)
	}
	if starts(rest, "打 来电 骚扰 联系 拨 call 烦") == "" {
		return false
	}
	for i, n := 0, 0; i < len(rest) && n < 18; n++ {
		if w := starts(rest[i:], "投诉 举报 报警 起诉 告你 律师 找警察 叫警察 屏蔽 封锁 报 骂"); w != "" &&
			(closes(rest[:i], "就 我 要 会 去") != "" || holds(rest[:i], "我就 我要 我会") && starts(rest[i+len(w):]+"|", "你 | 了") != "") && starts(rest[i+len(w):], "电话 热线 部 中心 渠道 名 价 告 销 的") == "" {
			return true
		}
		_, size := utf8.DecodeRuneInString(rest[i:])
		i += size
	}
	return false
}

// struck says whether the deletion at i is of a number.
func (s speech) struck(i int, verb string) bool {
	lead, tail := s.before(i, 20), s.after(i+len(verb), 12)
	if closes(lead, "别 不要 没 被 不 勿 没有 不会") != "" || holds(lead+tail, "等位 候补 排队 订单 预约") {
		return false
	}
	own := holds(lead, "我 本人 这个 这 本 该 号")
	kept := holds(lead+tail, "名单 列表 系统 数据库 资料库 通讯录 档案 号码库 记录")
	number := "电话 号码 手机 号 联系方式 信息 资料 名字"
	if own && (kept || holds(lead, number) && !holds(lead, "你 订 菜")) {
		return true
	}
	tail, _, _ = strings.Cut(tail, "|")
	tail = strings.TrimLeft(tail, "除掉了去")
	return starts(tail, "我 这个 本 这") != "" && holds(tail, number)
}
