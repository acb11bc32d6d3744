package script

func english(task, caller string) telling {
	if caller == "" {
		caller = "someone who asked me to ring you"
	}
	iAm := "this is an AI assistant calling on behalf of " + caller + ". I keep a transcript of the call. It is about this: " + task
	return telling{
		talk: []Line{
			agent(1.3, "Hello, "+iAm),
			callee(1.1, "Oh, hello! Yes, now is a good moment."),
			agent(0.9, "Thank you. Would that be all right with you?"),
			callee(1.1, "Yes, that's fine, no problem at all."),
			agent(1.0, "Wonderful, I'll pass that on. Thank you, and have a lovely day!"),
			callee(0.7, "You too. Bye!"),
		},
		voicemail: []Line{
			callee(1.5, "Hi, I can't come to the phone right now. Please leave a message after the tone."),
			agent(3.5, "Hello, "+iAm+" Please call back whenever it suits you. Thank you, goodbye."),
		},
		menu: []Line{
			callee(1.5, "Thank you for calling. For opening hours, press 1. To speak to someone, press 2."),
			agent(1.0, "(presses 2)"),
			callee(1.2, "In a few words, please say what you are calling about."),
			agent(1.8, "Hello, "+iAm),
			callee(1.5, "Thank you. One moment, I am putting you through."),
			callee(2.0, "Front desk, this is Maya. I have your note here, and we can do that."),
			agent(1.0, "That's very kind, Maya. I'll let them know. Goodbye!"),
			callee(0.8, "You're welcome. Bye now."),
		},
		cut: []Line{
			agent(1.3, "Hello, "+iAm),
			callee(1.1, "Hello? Yes, go ahead, I'm just stepping into the lift."),
			agent(0.9, "Thank you. Would that be all right with you?"),
			callee(1.0, "I think so, but let me just"),
		},
		long:        englishLong(iAm),
		talked:      "The assistant explained the matter. The person called agreed.",
		noAnswer:    "Nobody answered.",
		busy:        "The line was busy.",
		declined:    "The call was declined.",
		leftMessage: "A voicemail greeting answered; the assistant left a message with the matter and asked for a call back.",
		throughMenu: "The assistant went through a phone menu to the front desk, where Maya agreed.",
		lineDropped: "The line dropped in mid-sentence, before there was an answer.",
		talkedLong:  "After a long and friendly talk the person called agreed to Thursday at ten and asked for a short note the day before.",
		notDialed:   "The call was never dialed.",
	}
}

func englishLong(iAm string) []Line {
	return []Line{
		agent(6, "Hello, "+iAm),
		callee(7, "Oh, an AI assistant! I've never talked to one before. Hello there."),
		agent(6, "Hello! I hope I'm not catching you at a bad time. It will take a few minutes."),
		callee(7, "No, no, I've just put the kettle on. Could you tell me again what it is about? Slowly, please."),
		agent(10, "Of course, with pleasure. I am asking on their behalf, they would like it settled this week, and whatever you decide is fine."),
		callee(8, "I see. And they couldn't ring me themselves?"),
		agent(9, "They are at work at the moment and didn't want to keep you waiting, so they asked me. They send their regards."),
		callee(8, "That's thoughtful. Well then, let me find my calendar. Can you hold on?"),
		agent(5, "Certainly, take your time."),
		callee(24, "Sorry about that, it was under the newspaper. Now, which day were they thinking of?"),
		agent(8, "Any day this week is fine. Mornings would be best, if that is possible."),
		callee(12, "Let me see. Monday has gone already. Tuesday is the dentist, I can't move that."),
		agent(6, "Of course not. How about Wednesday?"),
		callee(13, "Wednesday my granddaughter comes for lunch. She has just learned to ride a bicycle, you know."),
		agent(8, "How lovely! Then Wednesday is taken, and rightly so. Would Thursday suit you?"),
		callee(12, "Thursday. Thursday is free until noon, as far as I can see. What time?"),
		agent(7, "Nine or ten in the morning, whichever you prefer."),
		callee(9, "Nine is a bit early for me these days. Let's say ten."),
		agent(7, "Ten o'clock on Thursday, then. I've written that down."),
		callee(11, "Wait, that's the kettle. I'll be right back, don't go away!"),
		agent(5, "I'm still here."),
		callee(26, "There we are. Do I need to bring anything, or prepare something?"),
		agent(10, "Nothing that I was told of. If that changes, they will let you know themselves before Thursday."),
		callee(10, "Good. And could they send me a little note the day before? I do forget things."),
		agent(8, "I'll pass that on: a short note on Wednesday, as a reminder."),
		callee(9, "Perfect. You are very patient, I must say. Are you sure you're not a person?"),
		agent(8, "Thank you! Quite sure: I'm an AI assistant. I'm glad the talk was pleasant all the same."),
		callee(9, "It was. So, to be certain: Thursday, ten o'clock, and a note on Wednesday."),
		agent(7, "Exactly that: Thursday at ten, and a note the day before. I'll pass it all on."),
		callee(7, "Then give them my best, and thank you for calling."),
		agent(6, "Thank you for your time. Enjoy your tea, and goodbye!"),
		callee(5, "Goodbye, dear. Goodbye!"),
	}
}
