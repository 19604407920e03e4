"""Phrases of the synthetic letters: what argues for an option, and what only sounds like it. Invented for Remand.

A template's braces hold either alternatives, divided by bars ("{am|feel}"), or the name of a slot ("{kin}").
"""

from __future__ import annotations

SLOTS: dict[str, tuple[str, ...]] = {
    "kin": ("mother", "father", "sister", "brother", "wife", "husband", "uncle", "grandmother", "cousin", "partner"),
    "other": ("cellmate", "neighbour", "brother", "cousin", "co-defendant", "friend", "old boss", "stepfather", "son"),
    "child": ("daughter", "son", "little girl", "little boy", "baby", "twins", "stepson", "niece", "youngest"),
    "illness": (
        "diabetes", "asthma", "a heart condition", "epilepsy", "severe depression", "a tumour", "chronic pain",
        "kidney failure", "panic attacks", "a slipped disc", "hepatitis", "bipolar disorder", "multiple sclerosis",
    ),
    "drug": (
        "heroin", "pills", "alcohol", "crack", "meth", "drink", "cocaine", "painkillers", "fentanyl", "gambling",
    ),
    "job": (
        "welder", "cook", "driver", "carpenter", "cleaner", "roofer", "mechanic", "nurse's aide", "painter",
        "warehouse hand", "barber", "plumber's mate", "shop assistant", "electrician", "gardener",
    ),
    "firm": (
        "a garage", "a bakery", "the shipyard", "a moving firm", "my uncle's shop", "a building site", "the cannery",
        "a hotel kitchen", "the council", "a call centre", "a small farm", "the bus company",
    ),
    "sum": ("$400", "$1,200", "$90", "$2,750", "$6,000", "eight hundred dollars", "every cent", "$15,300", "half of it"),
    "town": (
        "Millbrook", "Carrow", "Eastham", "Port Denning", "Halvers", "Lindale", "Stowe Cross", "Garrick", "Three Mills",
    ),
    "month": ("January", "March", "May", "June", "August", "October", "November", "last winter", "the spring"),
    "few": ("two", "three", "four", "five", "six", "seven", "eight"),
    "victim": ("the owner", "the lady", "Mr. Hale", "the store", "those people", "the man I hurt", "the family"),
    "deed": (
        "what I did", "that night", "the burglary", "taking the car", "the fight", "the theft", "my part in this",
        "the fraud", "the robbery", "what happened at the store",
    ),
    "very": ("truly", "really", "deeply", "honestly", "so", ""),
    "teen": ("seventeen", "eighteen", "nineteen", "barely twenty", "sixteen"),
    "court": ("this court", "a judge", "any court", "the law", "a magistrate"),
}  # fmt: skip

OPENINGS = (
    "{Your Honor|Dear Judge|To the Judge}, I am {writing|sending you this} {before my sentencing|from jail|as a last word}.",
    "{Honourable Judge|Your Honour}, {my name is on the file and|} I write {with a friend's help|as I cannot speak well}.",
    "{Dear Sir or Madam|Your Honor|Dear Judge}, please {read this|take a minute for this|hear me out} before you decide.",
    "{Judge|Your Honor}, my lawyer {told me|said|advised me} to put {this|my thoughts} on paper.",
    "{To the Court|Your Honor|Dear Judge}: I am the defendant in the case from {month}.",
)
CLOSINGS = (
    "{Thank you|Thanks} for {reading|your time|hearing me}, {respectfully|yours truly|with respect}.",
    "{Respectfully|Sincerely|God bless you}, the defendant.",
    "I {pray|hope|ask} that you will {be fair|show mercy|look at the whole of me}.",
    "{Whatever you decide|In any case}, {thank you|I will accept it}.",
)
BACKGROUND = (
    "I {grew up|was raised|was born} in {town} {with my {kin}|by the river|and never left|in a small flat}.",
    "{The case|This} has {gone on|dragged on} since {month} and I {have had time to think|cannot sleep|count the days}.",
    "My {kin} {visits|writes to me|calls} {every Sunday|when the bus runs|twice a month}.",
    "The {food|noise|heat} here is {bad|what it is|not easy}, but {the guards are fair|I do not complain|I read a lot}.",
    "I {used to|sometimes} {play football|sing in the choir|fish|fix bicycles} with my {other}.",
    "My {other} {said|thinks|always told me} that {you are a fair judge|a letter cannot hurt|nothing would come of this}.",
    "It was {raining|late|a Friday|dark} when {it happened|they came|the police car stopped}.",
    "I {finished|left} school in {town} {and went to live with my {kin}|a long while ago|like most of my class}.",
    "The {prosecutor|officer|report} {says|writes} {things|a lot} {I see differently|that my lawyer will answer|about me}.",
    "{Every day|Each night} I {look at the wall|hear the trains|write a few lines} and {think of {town}|wait for morning}.",
    "My {other} {moved|went} to {town} in {month} and {we lost touch|took the dog|left me the flat}.",
    "I {ask|would ask} {for a sentence in the community|for the low end|to serve my time near {town}}.",
    "The {trial|hearing} in {month} was {short|a blur|hard to follow} and I {said little|sat beside my {kin}|was afraid}.",
    "I {go to chapel|work out|clean the corridor|help in the library} {here|on Tuesdays|when they let me}.",
)  # fmt: skip

ARGUMENTS: dict[str, tuple[str, ...]] = {
    "remorse": (
        "I am {very} {sorry|ashamed} {for|about|of} {deed}.",
        "There is {no excuse|nobody to blame but me} for {deed}, and I {know|see} it {now|every morning}.",
        "I {think|keep thinking} of {victim} and wish I could {take it back|undo it|turn the clock back}.",
        "{deed} was {wrong|cruel|stupid|my doing}, and I {regret it|own it|carry it with me}.",
        "I {apologise|want to apologise} to {victim}, not because I was caught but because {it hurt them|I did harm}.",
        "If {victim} {reads|hears} this: {forgive me|I never should have|the fault is mine alone}.",
        "I {cannot look|have trouble looking} at myself since {deed}.",
        "What {victim} went through because of me {haunts me|keeps me awake|is on my conscience}.",
    ),
    "first_offence": (
        "I have {never|not once} {stood before|been in front of|been before} {court} {until now|before this}.",
        "{This is|It is} my first {arrest|case|conviction|trouble} in {few} decades.",
        "My record {is|was} {clean|empty|blank} {until|up to} {month}.",
        "You will find {nothing|no other case|not even a ticket} under my name.",
        "Before {deed} I had never {seen the inside of a cell|worn handcuffs|been charged}.",
        "In all my life {no policeman|nobody in uniform} {had|ever had} {reason to stop me|business with me}.",
        "I {kept|stayed} {on the right side of the law|out of trouble} {all these years|for thirty years} till {deed}.",
    ),
    "dependants": (
        "My {child} {has only me|asks for me every night|has nobody else to take her to school}.",
        "{There is|I have} {a {child}|a {child} and a {child}} {at home|to raise} and no {other parent|one to step in}.",
        "I {feed|wash|lift|look after} my {kin} who {cannot walk|is bedridden|has dementia} and {no one else will|needs me}.",
        "Who will {put my {child} to bed|bring my {child} up|sit with my {kin}} if I am {gone|locked up}?",
        "My {kin} is {ill|sick with {illness}|disabled} and {relies on me|depends on me} for {everything|washing and meals}.",
        "Since their {mother|father} {left|died} the {few} kids {live with|count on} me alone.",
        "Social services would {take|place} my {child} {in a home|with strangers} {were I sent away|if I go to prison}.",
    ),
    "health": (
        "I {suffer from|live with|was diagnosed with} {illness} {and see a specialist|since {month}|and it gets worse}.",
        "The {doctor|clinic|hospital} {treats|sees} me for {illness} {every week|and says prison is dangerous for me}.",
        "{My|The} {medicine|treatment|operation} for my {illness} cannot {wait|be had|go on} {in here|in a cell}.",
        "Since the {accident|stroke|surgery} I {cannot stand for long|use a cane|lost the use of one hand}.",
        "I {spent|was} {few} weeks {in hospital|on the ward} {with|because of} {illness}.",
        "{Some days|At times} {illness} keeps me {in bed|from breathing|from thinking straight}, and the nurse {knows it|sees it}.",
        "I am {few} times a week on a {machine|drip} and my {heart|lungs|kidneys} {are failing|are weak}.",
    ),
    "addiction_treatment": (
        "I {was|have been} {hooked on|a slave to|dependent on} {drug} {since {month}|for {few} years|all that time}.",
        "{drug} {took over|ran|ruined} my life, and {deed} was {to pay for it|part of that}.",
        "I {have been|am} {clean|sober} for {few} months {and go to meetings|with the help of the clinic|one day at a time}.",
        "{The|A} {clinic|programme|hospital} in {town} has a bed for me to get off {drug}.",
        "I {started|finished|asked for} {rehab|detox|counselling|the twelve steps} {in {month}|last autumn|on my own}.",
        "The doctor {gives me|put me on} methadone and I {see my counsellor|have not used since|feel like a person again}.",
        "When the craving {comes|came} I {call my sponsor|was not myself|would have sold anything}.",
    ),
    "employment": (
        "I {work|have worked|am employed} as a {job} at {firm} {for {few} years|and am never late|since {month}}.",
        "{firm} {will take me back|holds my place|promised me a place} {as a {job}|the day I get out|if I stay free}.",
        "My boss at {firm} {wrote you too|vouches for me|needs me on Monday}.",
        "I {pay taxes|get up at five} and {earn|make} my living as a {job}.",
        "I {begin|start} {an apprenticeship|a course} as a {job} {in {month}|next term}.",
        "{Prison|A sentence} would cost me {the post|my place|my licence} as a {job} {that I fought for|at {firm}}.",
    ),
    "cooperation": (
        "I {told|gave} the {police|detectives} {everything|the names|where it was hidden} {the first day|without a lawyer}.",
        "I {pleaded guilty|admitted it} {at once|at the first hearing} {so that no one had to testify|to spare {victim}}.",
        "I {testified|will testify|agreed to speak} against my {other}.",
        "{The|That} {officer|detective} can {confirm|tell you} that I {helped|answered every question|walked in by myself}.",
        "I {turned myself in|went to the station on my own} {the next morning|before they looked for me}.",
        "With what I {said|showed them} they {found the rest|got the others|closed {few} cases}.",
    ),
    "youth": (
        "I was {teen} {when it happened|at the time|that night}.",
        "At {teen} {one does not think|I did what older boys told me|I had no sense}.",
        "I am {teen} {now|years old} {and have my life before me|and still grow up}.",
        "I was {only|just} a {kid|boy|girl|child myself} and {wanted to belong|knew no better|followed the big ones}.",
        "My {brain|mind} was not {done growing|that of an adult} {then|yet}, as {the expert|my teacher} {wrote|said}.",
        "{I had not|I hadn't} {finished school|turned twenty|learned to drive} when {deed} {happened|came about}.",
    ),
    "restitution": (
        "I {have paid|paid|sent} {victim} {sum} {already|since {month}|from my savings}.",
        "I {want to|will|am ready to} {pay {victim} back|make good the damage|repair the door with my own hands}.",
        "{The|My} {lawyer|{kin}} holds {sum} {for {victim}|to cover what was taken}.",
        "I {gave|brought} {the car|the tools|all of it|the money} back to {victim} {unharmed|the same week}.",
        "Let me {work|earn} so that {victim} gets {sum|what is owed} {each month|in the end}.",
        "{Every week|On payday} {sum} {goes|will go} to {victim} {until we are even|for the damage}.",
    ),
    "hardship": (
        "{We|My family} {cannot pay|are behind with|have not paid} the {rent|light bill|mortgage} {since {month}|again}.",
        "The {landlord|bank} will {put us out|take the house} {in {month}|if no one earns}.",
        "I {owed|owe} {sum} and {ate once a day|slept in the car|sold my bed} {that winter|last year}.",
        "There was {no food in the house|no heat|nothing in the fridge} {when it happened|for {few} weeks}.",
        "My {kin} and the kids {live on food stamps|sleep in a shelter|would lose the flat}.",
        "I {took|stole} because we were {starving|broke|going under}, {not out of greed|with {few} mouths to feed}.",
        "{The fine|The bail|Debt} {has eaten|took} {sum} and {we are at the end|the shelves are bare}.",
    ),
}

DISTRACTIONS: dict[str, tuple[str, ...]] = {
    "remorse": (
        "I {cannot|will not} {say sorry|apologise} for {deed}, {because I did not do it|since it was self-defence}.",
        "My {other} {is sorry|regrets {deed}|says he is ashamed} and {wrote to {victim}|told his own judge}.",
        "{The prosecutor|They} {wants|want} me to {regret|be sorry about} {deed}, but {I was not there|it was not mine}.",
        "{victim} should {apologise|be ashamed} {to me|for the lies}.",
        "It is {wrong|cruel|stupid} that I am blamed for {deed}.",
    ),
    "first_offence": (
        "This is {not|by no means} my first {arrest|case|conviction}, {as the file shows|I know}.",
        "My {other} had {never been before {court}|a clean record|no conviction} until {month}.",
        "I have {stood before|been before} {court} {few} times and {know the rooms|served my time}.",
        "{I wish I could write that|If only} my record {was|were} {clean|empty|blank}.",
        "It was the first {winter|time} in {town} that anyone {was arrested|saw a policeman} on our street.",
    ),
    "dependants": (
        "My {child} {is grown|lives with her mother|was adopted} and {does not need me|has not called since {month}}.",
        "I have {no children|nobody to raise} {of my own|and live alone}.",
        "My {other} has {a {child}|{few} kids} {to feed|at home} and {got probation|nobody helps him}.",
        "As a {child} I {was raised by|lived with} my {kin} {and {few} kids|in {town}}.",
        "My {kin} {takes|brings} my {child} to school {and manages fine|as she always did}.",
    ),
    "health": (
        "My {other} {suffers from|has} {illness} and {lies in hospital|the clinic treats him}.",
        "I am {healthy|in good health|fit}, {thank God|the doctor said so in {month}}, and {ask no favour for it|can work}.",
        "My {kin} died of {illness} in {month}.",
        "The {doctor|nurse} {here|in the jail} {found nothing|says there is nothing wrong with me}.",
        "{I do not want|It is not} {pity for|about} {illness} {that I do not have|which others have}.",
    ),
    "addiction_treatment": (
        "My {other} {was hooked on|sold|died of} {drug}, {and I saw it|I never touched it}.",
        "I {never|do not} {used|use|touch} {drug}, {whatever they say|and every test was clean}.",
        "{They|The police} found {drug} {in the car|in the flat} of my {other}.",
        "My {kin} {went through rehab|goes to meetings|is sober} {since {month}|in {town}}.",
        "The hospital gave me painkillers {after the surgery|for my {illness}} {and I finished them|for a week}.",
    ),
    "employment": (
        "I {lost|left} my {post|place} as a {job} {in {month}|years ago} and {found nothing since|live on benefits}.",
        "My {other} works as a {job} at {firm} {and drives me crazy|and pays his taxes}.",
        "I {have not worked|never held a job} {since {month}|in {few} years}.",
        "{deed} {happened|took place} near {firm}, where {a {job}|my {other}} saw {it|us}.",
        "As a boy I wanted to be a {job}, {like my {kin}|but it came to nothing}.",
    ),
    "cooperation": (
        "I {told|gave} the {police|detectives} {nothing|no names}, {and I will not|on advice of my lawyer}.",
        "My {other} {testified|turned himself in|told them everything} {against me|to save himself}.",
        "The {officer|detective} {says|writes} that I {refused|did not answer}, {which is my right|and so it was}.",
        "I {did not plead guilty|want a trial}, because {it is not true|they cannot prove it}.",
    ),
    "youth": (
        "My {other} was {teen} {when it happened|at the time}.",
        "I am {not a kid any more|past fifty|an old man}, {and should know better|as you see}.",
        "When I was {teen} I {worked|lived} {as a {job}|in {town}}, {long before this|years before {deed}}.",
        "My {child} is {teen} {now|already} and {reads the papers|goes to college}.",
    ),
    "restitution": (
        "I {cannot|will not} {pay {victim} back|pay {sum}}, {for I owe nothing|there is nothing left}.",
        "{victim} {wants|asks} {sum} {that nobody took|for an old door}.",
        "My {other} {paid|sent} {victim} {sum} and {walked free|thinks that settles it}.",
        "{The insurance|The store's insurer} {gave|paid} {victim} {sum} {in {month}|long ago}.",
    ),
    "hardship": (
        "We are {not rich but|comfortable,} {lack nothing|the rent is paid} {thanks to my {kin}|and always was}.",
        "My {other} {owes|owed} {sum} and {lost his flat|sleeps in a shelter}.",
        "{Money|Debt} was {never|not} the reason {for {deed}|for any of this}.",
        "The {landlord|bank} {wrote|called} in {month} {about the keys|about a form}, {nothing more|that was all}.",
    ),
}
"""Sentences with an option's words that do not argue for it: denied, about somebody else, or about something else."""
