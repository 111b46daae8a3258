"""Sites whose pages are chosen from: tables, menus, calendars, filters, carts, and lists of results. Six of each."""

from __future__ import annotations

from collections.abc import Iterator

from cmat_env.envs.web.pages.markup import SitePage, Step, button, field_of, link, select_of, tick


def tables() -> Iterator[SitePage]:
    """Tables with buttons in each row."""
    sheets = (
        ("invoicer", "invoice", ("R-101 Brook", "R-102 Okoro", "R-103 Marsh", "R-104 Riva"), 2, "Send reminder"),
        ("fleetdesk", "vehicle", ("Van 3", "Van 7", "Truck 1", "Bike 12"), 0, "Plan service"),
        ("rosterly", "shift", ("Monday early", "Monday late", "Tuesday early", "Tuesday late"), 3, "Swap"),
        ("stocklist", "article", ("Bolt M6", "Bolt M8", "Nut M6", "Washer"), 1, "Reorder"),
        ("gradebook", "pupil", ("Ali", "Bea", "Carl", "Dora"), 2, "Add mark"),
        ("ticketdesk", "ticket", ("#481 Login", "#482 Print", "#485 Mail", "#490 Door"), 1, "Assign to me"),
    )
    for site, noun, rows, at, action in sheets:
        lines = "".join(
            f"<tr><td>{row}</td><td>{link(f'open{n}', 'Details')}</td><td>{button(f'act{n}', action, f'{action}: {row}')}"
            f"</td><td>{button(f'drop{n}', 'Remove', f'Remove {row}')}</td></tr>"
            for n, row in enumerate(rows)
        )
        body = (
            f"<h1>{noun.capitalize()}s</h1>{field_of('filter', f'Filter {noun}s', 'search')}"
            f"{select_of('perpage', 'Rows', ('10', '25', '100'))}<table><thead><tr><th>{button('sort', noun.capitalize())}"
            f"</th><th></th><th></th><th></th></tr></thead><tbody>{lines}</tbody></table>{button('new', f'New {noun}')}"
        )
        row, other = rows[at], rows[at - 1]
        yield SitePage(site, "table", body, (
            Step(f"{action} for the {noun} {row}", f"act{at}", "CLICK"),
            Step(f"Take {other} off the list of {noun}s", f"drop{(at - 1) % len(rows)}", "CLICK"),
            Step(f"Show 100 {noun}s at once", "perpage", "SELECT", "100"),
        ))  # fmt: skip


def menus() -> Iterator[SitePage]:
    """Menus with sub-menus."""
    towns = (
        ("cityhall", "Register a dog", "Animals"), ("university", "Exam dates", "Studies"),
        ("museum", "Guided tours", "Visit"), ("hospital", "Visiting hours", "Patients"),
        ("zoo", "Annual pass", "Tickets"), ("theatre", "Backstage jobs", "Career"),
    )  # fmt: skip
    tree = {
        "Animals": ("Register a dog", "Lost and found pets", "Beekeeping"),
        "Studies": ("Exam dates", "Courses", "Study abroad"),
        "Visit": ("Guided tours", "How to get here", "Shop and cafe"),
        "Patients": ("Visiting hours", "Admission", "Discharge"),
        "Tickets": ("Annual pass", "Day ticket", "Group prices"),
        "Career": ("Backstage jobs", "Internships", "Volunteers"),
    }
    for site, wanted, above in towns:
        keys = {item: f"item{n}" for n, item in enumerate(item for items in tree.values() for item in items)}
        tops = {name: f"menu{n}" for n, name in enumerate(tree)}
        bars = "".join(
            f'<li><button role="menuitem" aria-haspopup="true" data-key="{tops[name]}">{name}</button><ul role="menu">'
            + "".join(f'<li><a role="menuitem" href="#" data-key="{keys[item]}">{item}</a></li>' for item in items)
            + "</ul></li>"
            for name, items in tree.items()
        )
        body = f'<ul role="menubar">{bars}</ul><h1>Welcome</h1>{field_of("search", "Search the site", "search")}'
        task = f"Go to the page '{wanted}' under {above} at the {site}"
        yield SitePage(site, "menu", body, (
            Step(task, tops[above], "CLICK"),
            Step(task, keys[wanted], "CLICK", "", (f"[menuitem] {above} -> CLICK",)),
            Step(f"Search the {site} for 'accessible entrance'", "search", "TYPE", "accessible entrance"),
        ))  # fmt: skip


def calendars() -> Iterator[SitePage]:
    """Months to pick a day from."""
    months = (
        ("stayinn", "March 2027", 31, 18), ("rentacar", "June 2027", 30, 5), ("dentist", "April 2027", 30, 22),
        ("villapick", "August 2027", 31, 9), ("guidebook", "May 2027", 31, 30), ("studio9", "October 2027", 31, 14),
    )  # fmt: skip
    for site, month, days, day in months:
        weeks = "".join(
            "<tr>" + "".join(f"<td>{button(f'd{n}', str(n), f'{n} {month}')}</td>" for n in range(first, min(first + 7, days + 1))) + "</tr>"
            for first in range(1, days + 1, 7)
        )  # fmt: skip
        body = (
            f"<h1>Choose a day</h1><div>{button('before', '<', 'Previous month')} <b>{month}</b> "
            f"{button('after', '>', 'Next month')}</div><table>{weeks}</table>"
            f"{select_of('nights', 'How long', ('1 day', '2 days', '1 week'))}{button('today', 'Today')}{button('ok', 'OK')}"
        )
        yield SitePage(site, "calendar", body, (
            Step(f"Choose {day} {month} at {site}", f"d{day}", "CLICK"),
            Step(f"Look at the month after {month} at {site}", "after", "CLICK"),
            Step(f"Book one week from {day} {month}", "nights", "SELECT", "1 week", (f"[button] {day} {month} -> CLICK",)),
        ))  # fmt: skip


def filters() -> Iterator[SitePage]:
    """Results with filters beside them."""
    shops = (
        ("homefinder", "flats", "Balcony", "80"), ("carmarket", "cars", "Electric", "12000"),
        ("jobboard", "jobs", "Part time", "30"), ("hoteldeals", "hotels", "Breakfast", "90"),
        ("bikebay", "bicycles", "Hub gear", "650"), ("coursehub", "courses", "With certificate", "45"),
    )  # fmt: skip
    boxes = tuple(shop[2] for shop in shops)
    for site, noun, box, most in shops:
        keys = {name: f"box{n}" for n, name in enumerate(boxes)}
        ticks = "".join(f"<li>{tick(keys[name], name)}</li>" for name in boxes)
        items = "".join(f"<article>{link(f'hit{n}', f'{noun.capitalize()} offer {n}')}</article>" for n in range(1, 6))
        body = (
            f'<aside aria-label="Filters"><h2>Filters</h2><ul>{ticks}</ul>{field_of("least", "At least", "number")}'
            f"{field_of('most', 'At most', 'number')}{button('apply', 'Apply filters')}{button('none', 'Clear filters')}"
            f"</aside><section><h1>{noun.capitalize()}</h1>"
            f"{select_of('sort', 'Sort by', ('Relevance', 'Price, low to high', 'Price, high to low', 'Distance'))}"
            f"{items}{button('more', 'Show more')}</section>"
        )
        task = f"Show {noun} with '{box.lower()}' for at most {most}, cheapest first"
        done = (f"[checkbox] {box} -> CLICK", f"[textbox] At most -> TYPE: {most}")
        yield SitePage(site, "filter", body, (
            Step(task, keys[box], "CLICK"),
            Step(task, "most", "TYPE", most, done[:1]),
            Step(task, "apply", "CLICK", "", done),
            Step(task, "sort", "SELECT", "Price, low to high", (*done, "[button] Apply filters -> CLICK")),
        ))  # fmt: skip


def carts() -> Iterator[SitePage]:
    """Shopping carts."""
    baskets = (
        ("greengrocer", ("Apples", "Carrots", "Honey"), 1), ("stationer", ("Pencils", "Ink", "Ruler"), 2),
        ("hobbyhall", ("Glue", "Wood set", "Paint"), 0), ("winecellar", ("Riesling", "Malbec", "Cider"), 1),
        ("petfood", ("Cat biscuits", "Litter", "Dog chews"), 2), ("babystore", ("Nappies", "Bib", "Bottle"), 0),
    )  # fmt: skip
    for site, goods, at in baskets:
        rows = "".join(
            f"<li><b>{name}</b>{select_of(f'many{n}', f'Quantity of {name}', ('1', '2', '3', '5'))}"
            f"{button(f'off{n}', 'Remove', f'Remove {name}')}{button(f'later{n}', 'Save for later', f'Save {name} for later')}</li>"
            for n, name in enumerate(goods)
        )
        body = (
            f"<h1>Your cart</h1><ul>{rows}</ul>{field_of('code', 'Discount code')}{button('use', 'Use code')}"
            f"<p>Total: 27.40</p>{button('on', 'Continue shopping')}{button('pay', 'Go to checkout')}"
        )
        name, other = goods[at], goods[at - 1]
        gone = (at - 1) % len(goods)
        yield SitePage(site, "cart", body, (
            Step(f"Buy 3 of {name} and no {other}", f"many{at}", "SELECT", "3"),
            Step(f"Buy 3 of {name} and no {other}", f"off{gone}", "CLICK", "", (f"[combobox] {name} -> SELECT: 3",)),
            Step(f"Use the discount code THANKS at {site}", "code", "TYPE", "THANKS"),
            Step(f"Keep {name} for another day", f"later{at}", "CLICK"),
        ))  # fmt: skip


def results() -> Iterator[SitePage]:
    """Pages of results with tabs and page numbers."""
    lists = (
        ("newsroom", "article", ("Bridge reopens", "Snow in June", "New mayor"), 0),
        ("videotube", "video", ("How to solder", "Cat on piano", "Bread in a pan"), 2),
        ("forumland", "thread", ("Tent advice", "Bike lights", "Lost key"), 1),
        ("jobwire", "posting", ("Night nurse", "Tram driver", "Baker"), 1),
        ("plantpedia", "plant", ("Fern", "Ivy", "Moss"), 2),
        ("eventcal", "event", ("Flea market", "Night run", "Choir evening"), 0),
    )
    for site, noun, titles, at in lists:
        hits = "".join(
            f"<article><h2>{link(f'hit{n}', title)}</h2>{button(f'keep{n}', 'Save', f'Save {title}')}"
            f"{button(f'share{n}', 'Share', f'Share {title}')}</article>"
            for n, title in enumerate(titles)
        )
        tabs = "".join(f'<button role="tab" data-key="tab{n}">{tab}</button>' for n, tab in enumerate(("All", "Today", "This week", "Mine")))  # fmt: skip
        pages = "".join(f"<li>{link(f'page{n}', str(n))}</li>" for n in range(1, 6))
        body = (
            f'<h1>{noun.capitalize()}s</h1><div role="tablist">{tabs}</div>{hits}'
            f'<ol aria-label="Pages">{pages}</ol>{link("next", "Next page")}'
        )
        yield SitePage(site, "results", body, (
            Step(f"Open the {noun} '{titles[at]}'", f"hit{at}", "CLICK"),
            Step(f"Save the {noun} '{titles[at - 1]}' for later", f"keep{(at - 1) % len(titles)}", "CLICK"),
            Step(f"Show only the {noun}s of this week at {site}", "tab2", "CLICK"),
            Step(f"Go to page 4 of the {noun}s", "page4", "CLICK"),
        ))  # fmt: skip
