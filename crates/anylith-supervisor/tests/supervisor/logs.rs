//! What readers of the logs are promised.

use std::{fs, io::Write};

use anylith_supervisor::LogReader;

use crate::stage::{Stage, eventually};

#[tokio::test]
async fn logs_of_all_replicas_come_in_time_order_and_stay_after_the_stop() {
    let stage = Stage::micro();
    stage.start_ready().await.stop().await.unwrap();
    let lines = LogReader::from_start(&stage.folder()).finish().unwrap();
    let times: Vec<&String> = lines.iter().filter_map(|line| line.time.as_ref()).collect();
    assert!(times.is_sorted());
    let ready: Vec<&str> = lines
        .iter()
        .filter(|line| line.text == "ready")
        .filter_map(|line| line.component.as_deref())
        .collect();
    assert_eq!(ready, ["Stock", "Cart", "Front"]);
    assert!(lines.iter().any(|line| &*line.source == "anylith"));
}

/// An application that does not run, and a log of it that holds `text`.
fn log_with(text: &str) -> (Stage, LogReader) {
    let stage = Stage::micro();
    fs::create_dir_all(stage.folder().logs()).unwrap();
    fs::write(stage.folder().logs().join("Cart-1.log"), text).unwrap();
    let reader = LogReader::from_start(&stage.folder());
    (stage, reader)
}

#[tokio::test]
async fn a_time_of_another_shape_or_to_come_keeps_no_line_back() {
    for time in [
        "today",
        "2026-01-02 03:04:05",
        "9999-01-02T03:04:05.000006Z",
    ] {
        let foreign = format!(r#"{{"ts":"{time}","level":"INFO","msg":"foreign"}}"#);
        let (_stage, mut reader) = log_with(&format!("{foreign}\nplain\n"));
        let mut lines = Vec::new();
        eventually("both lines are read", || {
            lines.extend(reader.poll().unwrap());
            lines.len() == 2
        })
        .await;
        assert_eq!((&*lines[0].text, &*lines[1].text), ("foreign", "plain"));
    }
}

#[test]
fn a_line_without_an_end_is_shown_in_parts() {
    let (stage, mut reader) = log_with("");
    let log = stage.folder().logs().join("Cart-1.log");
    let mut log = fs::File::options().append(true).open(log).unwrap();
    let mut shown = 0;
    for _ in 0..5 {
        log.write_all(&[b'x'; 1024 * 1024]).unwrap();
        let lines = reader.catch_up().unwrap();
        shown += lines.iter().map(|line| line.text.len()).sum::<usize>();
    }
    assert_eq!(shown, 5 * 1024 * 1024);
}
