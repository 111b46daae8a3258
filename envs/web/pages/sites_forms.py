"""Sites whose pages are filled in: sign-up, booking, payment, settings, and search forms. Six of each."""

from __future__ import annotations

from collections.abc import Iterator

from cmat_env.envs.web.pages.markup import SitePage, Step, button, field_of, select_of, tick

_COUNTRIES = ("Austria", "Brazil", "Canada", "Denmark", "Ghana", "Japan", "Norway")
_CITIES = ("Accra", "Bergen", "Graz", "Kyoto", "Lima", "Oslo", "Porto", "Quito")


def accounts() -> Iterator[SitePage]:
    """Sign-up forms."""
    people = (
        ("petpals", "Ada Brook", "ada@brook.example", "Norway"),
        ("choirbook", "Ben Okoro", "okoro@mail.example", "Ghana"),
        ("trailmates", "Cleo Marsh", "cleo.m@post.example", "Canada"),
        ("seedswap", "Dan Riva", "dan@riva.example", "Austria"),
        ("bookloop", "Eiko Sato", "eiko@sato.example", "Japan"),
        ("repairhub", "Fynn Dahl", "dahl@fynn.example", "Denmark"),
    )
    for site, name, mail, country in people:
        body = (
            f"<h1>Join {site}</h1><form>{field_of('fullname', 'Full name')}{field_of('email', 'E-mail', 'email')}"
            f"{field_of('password', 'Password', 'password')}{field_of('again', 'Repeat password', 'password')}"
            f"{select_of('country', 'Country', _COUNTRIES)}{field_of('birthday', 'Date of birth', 'date')}"
            f"{tick('letter', 'Send me the newsletter')}{tick('agree', 'I agree to the rules')}"
            f"{button('create', 'Create account')}{button('clear', 'Clear all')}</form>"
        )
        task = f"Sign up at {site} as {name} with the address {mail}, country {country}, without the newsletter"
        typed = (f"[textbox] Full name -> TYPE: {name}", f"[textbox] E-mail -> TYPE: {mail}")
        yield SitePage(site, "account", body, (
            Step(task, "fullname", "TYPE", name),
            Step(task, "email", "TYPE", mail, typed[:1]),
            Step(task, "country", "SELECT", country, typed),
            Step(task, "agree", "CLICK", "", (*typed, f"[combobox] Country -> SELECT: {country}")),
        ))  # fmt: skip


def travel() -> Iterator[SitePage]:
    """Search forms for journeys."""
    trips = (
        ("railgo", "train", "Oslo", "Bergen", "2 adults"), ("hopfly", "flight", "Lima", "Quito", "1 adult"),
        ("seaways", "ferry", "Porto", "Accra", "3 adults"), ("busline", "bus", "Graz", "Porto", "2 adults"),
        ("nightrail", "sleeper", "Bergen", "Graz", "4 adults"), ("skylark", "flight", "Kyoto", "Oslo", "1 adult"),
    )  # fmt: skip
    for site, kind, start, end, who in trips:
        people = ("1 adult", "2 adults", "3 adults", "4 adults")
        body = (
            f"<h1>Find a {kind}</h1><form>{tick('oneway', 'One way', 'radio', 'trip')}"
            f"{tick('return', 'Return', 'radio', 'trip')}{field_of('from', 'From', 'text', 'City')}"
            f"{field_of('to', 'To', 'text', 'City')}{field_of('day', 'Leaving on', 'text', 'DD.MM.YYYY')}"
            f"{field_of('back', 'Coming back on', 'text', 'DD.MM.YYYY')}{select_of('who', 'Passengers', people)}"
            f"{select_of('class', 'Class', ('Second', 'First'))}{tick('bike', 'With a bicycle')}"
            f"{button('swap', 'Swap', 'Swap start and destination')}{button('find', f'Find a {kind}')}</form>"
        )
        task = f"Find a one-way {kind} from {start} to {end} for {who} on 12.05.2027 in first class"
        done = ("[radio] One way -> CLICK", f"[textbox] From -> TYPE: {start}")
        yield SitePage(site, "travel", body, (
            Step(task, "oneway", "CLICK"),
            Step(task, "to", "TYPE", end, done),
            Step(task, "who", "SELECT", who, (*done, f"[textbox] To -> TYPE: {end}")),
            Step(task, "class", "SELECT", "First", (*done, f"[combobox] Passengers -> SELECT: {who}")),
        ))  # fmt: skip


def payments() -> Iterator[SitePage]:
    """Address and payment forms."""
    orders = (
        ("lampshop", "Mill Lane 4", "8010", "Graz", "Invoice"), ("teahouse", "Harbour 12", "0150", "Oslo", "Card"),
        ("velostore", "Rua Nova 7", "4000", "Porto", "Bank transfer"), ("toolbox", "Hill 9", "5003", "Bergen", "Card"),
        ("paperie", "Kita 3-2", "6008", "Kyoto", "Invoice"), ("sportly", "Plaza 1", "15001", "Lima", "Cash"),
    )  # fmt: skip
    for site, street, code, city, pay in orders:
        ways = ("Invoice", "Card", "Bank transfer", "Cash")
        body = (
            f"<h1>Checkout</h1><form><fieldset><legend>Delivery address</legend>{field_of('street', 'Street and number')}"
            f"{field_of('code', 'Postal code')}{field_of('city', 'City')}{select_of('land', 'Country', _COUNTRIES)}"
            f"</fieldset><fieldset><legend>Payment</legend>{select_of('pay', 'Way of payment', ways)}"
            f"{field_of('coupon', 'Coupon')}{button('redeem', 'Redeem')}</fieldset>"
            f"{tick('gift', 'Wrap it as a gift')}{tick('express', 'Express delivery (+ 6.00)')}"
            f"{button('back', 'Back to cart')}{button('order', 'Place order')}</form>"
        )
        task = f"Order by {pay.lower()} to {street}, {code} {city}, wrapped as a gift, with coupon SPRING5"
        done = (f"[textbox] Street and number -> TYPE: {street}", f"[textbox] Postal code -> TYPE: {code}")
        yield SitePage(site, "checkout", body, (
            Step(task, "code", "TYPE", code, done[:1]),
            Step(task, "pay", "SELECT", pay, (*done, f"[textbox] City -> TYPE: {city}")),
            Step(task, "coupon", "TYPE", "SPRING5", (*done, f"[combobox] Way of payment -> SELECT: {pay}")),
            Step(task, "redeem", "CLICK", "", (*done, "[textbox] Coupon -> TYPE: SPRING5")),
        ))  # fmt: skip


def settings() -> Iterator[SitePage]:
    """Pages of switches and lists."""
    wishes = (
        ("mailbird", "Sound for new mail", "German", "Compact"), ("notely", "Daily summary", "French", "Wide"),
        ("camcloud", "Motion alerts", "Spanish", "Compact"), ("podwave", "Skip silence", "Polish", "Large"),
        ("chatter", "Read receipts", "Danish", "Wide"), ("mapmate", "Avoid ferries", "Italian", "Large"),
    )  # fmt: skip
    switches = tuple(dict.fromkeys(wish[1] for wish in wishes))
    for site, switch, language, layout in wishes:
        keys = {name: f"switch{number}" for number, name in enumerate(switches)}
        rows = "".join(
            f'<li><span>{name}</span> <button role="switch" aria-checked="false" aria-label="{name}" '
            f'data-key="{keys[name]}">off</button></li>'
            for name in switches
        )
        languages = ("Danish", "English", "French", "German", "Italian", "Polish", "Spanish")
        body = (
            f"<h1>Settings</h1><ul>{rows}</ul>{select_of('language', 'Language', languages)}"
            f"{select_of('layout', 'Layout', ('Compact', 'Wide', 'Large'))}{field_of('shown', 'Name that others see')}"
            f"{button('save', 'Save changes')}{button('reset', 'Reset to defaults')}{button('delete', 'Delete account')}"
        )
        task = f"In {site}, turn on '{switch}', set the language to {language} and the layout to {layout}, and save"
        done = (f"[switch] {switch} -> CLICK", f"[combobox] Language -> SELECT: {language}")
        yield SitePage(site, "settings", body, (
            Step(task, keys[switch], "CLICK"),
            Step(task, "language", "SELECT", language, done[:1]),
            Step(task, "layout", "SELECT", layout, done),
            Step(task, "save", "CLICK", "", (*done, f"[combobox] Layout -> SELECT: {layout}")),
        ))  # fmt: skip


def tables_booked() -> Iterator[SitePage]:
    """Booking forms of restaurants and the like."""
    visits = (
        ("olivetree", "a table", "4 people", "19:30", "Ms Brook"), ("sushibar", "a table", "2 people", "12:00", "Okoro"),
        ("hairloft", "a haircut", "1 person", "10:30", "C. Marsh"), ("bowlarena", "a lane", "6 people", "17:00", "Riva"),
        ("escapelab", "a room", "5 people", "15:00", "E. Sato"), ("tenniscourt", "a court", "2 people", "08:00", "Dahl"),
    )  # fmt: skip
    people = ("1 person", "2 people", "4 people", "5 people", "6 people")
    times = ("08:00", "10:30", "12:00", "15:00", "17:00", "19:30")
    for site, what, who, at, name in visits:
        slots = "".join(button(f"slot{number}", time, f"Choose {time}") for number, time in enumerate(times))
        body = (
            f"<h1>Book {what}</h1>{select_of('size', 'How many', people)}{field_of('date', 'Day', 'text', 'DD.MM.')}"
            f'<section aria-label="Times">{slots}</section>{field_of("name", "Name for the booking")}'
            f"{field_of('phone', 'Telephone', 'tel')}{field_of('wish', 'Anything else')}"
            f"{button('book', 'Book now')}{button('cancel', 'Cancel')}"
        )
        task = f"Book {what} for {who} on 03.09. at {at} in the name of {name}"
        done = (f"[combobox] How many -> SELECT: {who}", "[textbox] Day -> TYPE: 03.09.")
        yield SitePage(site, "booking", body, (
            Step(task, "size", "SELECT", who),
            Step(task, f"slot{times.index(at)}", "CLICK", "", done),
            Step(task, "name", "TYPE", name, (*done, f"[button] Choose {at} -> CLICK")),
        ))  # fmt: skip


def searches() -> Iterator[SitePage]:
    """Search pages of libraries and archives."""
    wanted = (
        ("citylibrary", "the sea wolf", "Book", "Newest first"), ("filmarchive", "the third day", "Film", "Title"),
        ("soundvault", "winter songs", "Recording", "Newest first"), ("mapstore", "alpine passes", "Map", "Title"),
        ("lawtexts", "tenancy act", "Law", "Most cited"), ("recipedb", "lentil soup", "Recipe", "Most cited"),
    )  # fmt: skip
    kinds = tuple(want[2] for want in wanted)
    for site, words, kind, order in wanted:
        body = (
            f'<h1>Search</h1><form role="search">{field_of("q", "Words", "search", "Title, person, subject")}'
            f"{select_of('kind', 'Kind', ('Everything', *kinds))}{field_of('after', 'Not before', 'number', 'Year')}"
            f"{field_of('until', 'Not after', 'number', 'Year')}"
            f"{select_of('order', 'Order', ('Best match', 'Newest first', 'Title', 'Most cited'))}"
            f"{tick('here', 'Only what is available now')}{button('go', 'Search')}{button('expert', 'Expert search')}</form>"
        )
        task = f"At {site}, look for a {kind.lower()} called {words}, not before 1990, ordered by {order.lower()}"
        done = (f"[textbox] Words -> TYPE: {words}", f"[combobox] Kind -> SELECT: {kind}")
        yield SitePage(site, "search", body, (
            Step(task, "q", "TYPE", words),
            Step(task, "kind", "SELECT", kind, done[:1]),
            Step(task, "after", "TYPE", "1990", done),
            Step(task, "order", "SELECT", order, (*done, "[textbox] Not before -> TYPE: 1990")),
        ))  # fmt: skip
