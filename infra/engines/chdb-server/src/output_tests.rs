use super::*;

fn output(wait: bool) -> (Output, oneshot::Receiver<Reply>) {
    let (sender, receiver) = oneshot::channel();
    (Output::new(sender, Encoding::Plain, wait, &std::env::temp_dir()).unwrap(), receiver)
}

fn exception() -> Exception {
    Exception::internal("on purpose")
}

#[test]
fn a_small_result_is_answered_in_one_piece() {
    let (mut output, mut reply) = output(false);
    output.write(b"a").unwrap();
    output.write(b"b").unwrap();
    output.finish();
    assert!(matches!(reply.try_recv(), Ok(Reply::Complete(_, body)) if body == "ab"));
}

#[test]
fn an_early_error_is_answered_as_such() {
    let (mut output, mut reply) = output(false);
    output.write(b"a").unwrap();
    output.fail(exception(), "tag", "1");
    assert!(matches!(reply.try_recv(), Ok(Reply::Failed(_))));
}

#[test]
fn a_late_error_is_the_last_piece_of_its_own() {
    let (mut output, mut reply) = output(false);
    output.write(&vec![b'a'; PIECE_SIZE]).unwrap();
    output.write(b"b").unwrap();
    output.fail(exception(), "tag", "1");
    let Ok(Reply::Streaming(_, mut pieces)) = reply.try_recv() else {
        panic!("not streamed");
    };
    assert!(matches!(pieces.try_recv(), Ok(Piece::Data(data)) if data.len() == PIECE_SIZE));
    assert!(matches!(pieces.try_recv(), Ok(Piece::Data(data)) if data == "b"));
    assert!(
        matches!(pieces.try_recv(), Ok(Piece::Last(data)) if data.ends_with(b"\r\n__exception__\r\n"))
    );
    assert!(pieces.try_recv().is_err());
}

#[test]
fn with_wait_end_of_query_every_error_is_answered_as_such() {
    let (mut output, mut reply) = output(true);
    output.write(&vec![b'a'; 2 * MEMORY_SIZE]).unwrap();
    output.fail(exception(), "tag", "1");
    assert!(matches!(reply.try_recv(), Ok(Reply::Failed(_))));
}

#[test]
fn with_wait_end_of_query_a_large_result_goes_through_a_file() {
    let (mut output, reply) = output(true);
    let size = 2 * MEMORY_SIZE + 1;
    output.write(&vec![b'a'; size]).unwrap();
    let thread = std::thread::spawn(move || output.finish());
    let Ok(Reply::Streaming(_, mut pieces)) = reply.blocking_recv() else {
        panic!("not streamed");
    };
    let mut received = 0;
    while let Some(piece) = pieces.blocking_recv() {
        let (Piece::Data(data) | Piece::Last(data)) = piece;
        received += data.len();
    }
    thread.join().unwrap();
    assert_eq!(received, size);
}

#[test]
fn a_client_that_went_away_stops_the_query() {
    let (mut output, reply) = output(false);
    drop(reply);
    output.write(&vec![b'a'; PIECE_SIZE]).unwrap();
    assert!(output.write(b"b").is_err());
}
