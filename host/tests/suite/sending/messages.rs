//! `GET /messages` and `GET /messages/{id}`.

use eventos_testkit::Daemon;

use super::start;

/// Makes 100 Eventos with the ids 0 to 99, and returns each with its tipo: every third is a `c`, the others alternate between `a` and
/// `b`.
fn eventos() -> Vec<(String, &'static str)> {
    let tipo = |i| match (i % 3, i % 2) {
        (0, _) => "c",
        (_, 0) => "a",
        _ => "b",
    };
    let evento = |i| (format!(r#"{{"id":{i},"tipo":"{}"}}"#, tipo(i)), tipo(i));
    (0..100).map(evento).collect()
}

fn array<'a>(eventos: impl IntoIterator<Item = &'a String>) -> String {
    let eventos: Vec<_> = eventos.into_iter().map(String::as_str).collect();
    format!("[{}]", eventos.join(","))
}

/// Follows the links to the last page, and returns the text of each page.
fn pages(daemon: &Daemon, query: &str, total: usize) -> Vec<String> {
    let mut pages = Vec::new();
    let mut at = Some(format!("/messages?{query}"));
    while let Some(url) = at {
        let page = daemon.get(&url);
        page.assert_status(200);
        assert_eq!(page.header("content-type"), Some("application/json"));
        assert_eq!(
            page.header("x-total-count"),
            Some(total.to_string().as_str())
        );
        at = page.next_page();
        pages.push(page.text);
        assert!(pages.len() <= 200, "the links lead in a circle");
    }
    pages
}

#[test]
fn filters_orders_and_pages_show_each_evento_once() {
    let (_setup, daemon) = start();
    let sent = eventos();
    let texts: Vec<_> = sent.iter().map(|(text, _)| text.clone()).collect();
    daemon.send_all(&texts);
    daemon.wait_for_messages(100);
    for tipo in [None, Some("a"), Some("b"), Some("c")] {
        for order in ["", "asc", "desc"] {
            let mut expected: Vec<_> = sent
                .iter()
                .filter(|(_, of)| tipo.is_none_or(|tipo| tipo == *of))
                .map(|(text, _)| text.clone())
                .collect();
            if order == "desc" {
                expected.reverse();
            }
            for limit in [1, 7, 1000] {
                let mut query = format!("limit={limit}");
                if let Some(tipo) = tipo {
                    query += &format!("&tipo={tipo}");
                }
                if !order.is_empty() {
                    query += &format!("&order={order}");
                }
                let pages = pages(&daemon, &query, expected.len());
                let expected: Vec<_> = expected.chunks(limit).map(array).collect();
                // A page has a link even if nothing follows it, so the last page may be empty.
                let mut shown = pages.as_slice();
                if shown.len() > expected.len() {
                    assert_eq!(shown.last().map(String::as_str), Some("[]"), "{query}");
                    shown = &shown[..expected.len()];
                }
                assert_eq!(shown, expected, "{query}");
            }
        }
    }
}

#[test]
fn a_cursor_goes_on_where_it_was_when_more_has_come() {
    let (_setup, daemon) = start();
    let texts: Vec<_> = eventos().into_iter().map(|(text, _)| text).collect();
    let (first, second) = texts.split_at(60);
    let empty = daemon.get("/messages");
    assert_eq!(
        (empty.text.as_str(), empty.header("x-total-count")),
        ("[]", Some("0"))
    );
    assert_eq!(empty.header("link"), None);
    let cursor = empty.header("x-next-cursor").expect("a cursor").to_owned();

    daemon.send_all(first);
    daemon.wait_for_messages(60);
    let page = daemon.get(&format!("/messages?after={cursor}"));
    assert_eq!(
        (page.text.as_str(), page.header("link")),
        (array(first).as_str(), None)
    );
    let cursor = page.header("x-next-cursor").expect("a cursor").to_owned();
    assert_eq!(daemon.get(&format!("/messages?after={cursor}")).text, "[]");

    daemon.send_all(second);
    daemon.wait_for_messages(100);
    let rest = daemon.get(&format!("/messages?after={cursor}"));
    assert_eq!(rest.text, array(second));
    assert_eq!(rest.header("x-total-count"), Some("100"));
}

#[test]
fn an_id_finds_every_evento_that_has_it_and_alone_the_newest() {
    let (_setup, daemon) = start();
    let texts = [
        r#"{"id":7,"tipo":"integer"}"#,
        r#"{"id":"x y/z?é","tipo":"text"}"#,
        r#"{"id":"7","tipo":"text"}"#,
        r#"{"id":-7,"tipo":"integer"}"#,
        r#"{"id":7,"tipo":"newest"}"#,
        r#"{"id":"\u0061","tipo":"escaped"}"#,
        r#"{"id":70,"tipo":"integer"}"#,
    ]
    .map(str::to_owned);
    daemon.send_all(&texts);
    daemon.wait_for_messages(texts.len());
    for (id, newest) in [
        ("7", 4),
        ("-7", 3),
        ("x%20y%2Fz%3F%C3%A9", 1),
        ("a", 5),
        ("70", 6),
    ] {
        let found = daemon.get(&format!("/messages/{id}"));
        assert_eq!(
            (found.status.as_u16(), found.text),
            (200, texts[newest].clone())
        );
        assert_eq!(found.headers["content-type"], "application/json");
    }
    let sevens = daemon.get("/messages?id=7");
    assert_eq!(sevens.text, array([&texts[0], &texts[2], &texts[4]]));
    assert_eq!(sevens.header("x-total-count"), Some("3"));
    let one = daemon.get("/messages?id=7&tipo=text");
    assert_eq!(
        (one.text.as_str(), one.header("x-total-count")),
        (array([&texts[2]]).as_str(), Some("1"))
    );
    assert_eq!(
        pages(&daemon, "id=7&limit=2&order=desc", 3)[0],
        array([&texts[4], &texts[2]])
    );
    assert_eq!(
        daemon.get("/messages?id=x+y/z?%C3%A9").text,
        array([&texts[1]])
    );
    for unknown in ["8", "%37%37", "07", "7.0", "X"] {
        let answer = daemon.get(&format!("/messages/{unknown}"));
        answer.problem(404, "not-found");
        assert_eq!(daemon.get(&format!("/messages?id={unknown}")).text, "[]");
    }
}

#[test]
fn what_is_asked_wrongly_is_refused_by_name() {
    let (_setup, daemon) = start();
    for (query, named) in [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=many", "limit"),
        ("limit=", "limit"),
        ("order=up", "order"),
        ("after=yesterday", "after"),
        ("after=0:1,0:2", "after"),
        ("type=sismo", "type"),
        ("tipo=a&tipo=b", "tipo"),
        ("tipo=%ff", "%ff"),
    ] {
        let answer = daemon.get(&format!("/messages?{query}"));
        let detail = answer.problem(400, "invalid-query");
        assert!(detail.contains(named), "{query}: {detail}");
    }
    daemon
        .post_body("/messages", "application/json", "{}")
        .problem(405, "method-not-allowed");
}
