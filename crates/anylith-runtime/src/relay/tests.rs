use std::{
    io::{self, IoSlice, Read as _, Write as _},
    mem::MaybeUninit,
    net::{TcpListener, TcpStream},
    os::fd::AsFd,
};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::*;

fn relay() -> Relay {
    let (give, take) = UnixDatagram::pair().unwrap();
    give.set_nonblocking(true).unwrap();
    take.set_nonblocking(true).unwrap();
    Relay::new(give, take)
}

/// A client and the connection that a server has with it.
fn connected() -> (TcpStream, TcpStream) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(socket.local_addr().unwrap()).unwrap();
    (client, socket.accept().unwrap().0)
}

/// Puts a message into the relay that no `Giving` would.
fn forge(relay: &Relay, message: &[u8], attach: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut attached = SendAncillaryBuffer::new(&mut space);
    if !attach.is_empty() {
        assert!(attached.push(SendAncillaryMessage::ScmRights(attach)));
    }
    let parts = [IoSlice::new(message)];
    sendmsg(&relay.give, &parts, &mut attached, SendFlags::empty()).unwrap();
}

#[tokio::test]
async fn a_connection_comes_out_of_a_relay_as_it_was_given() {
    let relay = relay();
    let (mut client, server) = connected();
    let giving = Giving::new(&relay).unwrap();
    let longest = vec![7; MOST_READ_BYTES];
    for read in [&b"GET /"[..], b"", &longest] {
        giving.give(&server, read).await.unwrap();
        let taken = Taking::new(&relay).unwrap().take().await.unwrap();
        assert_eq!(taken.read, read);
        (&taken.connection).write_all(b"here").unwrap();
        let mut word = [0; 4];
        client.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"here");
    }
    let error = giving
        .give(&server, &[7; MOST_READ_BYTES + 1])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn a_connection_outlives_the_replica_that_gave_it_before_anybody_takes_it() {
    let relay = relay();
    let (mut client, server) = connected();
    Giving::new(&relay)
        .unwrap()
        .give(&server, b"")
        .await
        .unwrap();
    drop(server);
    client.write_all(b"are you there?").unwrap();
    let mut taken = Taking::new(&relay).unwrap().take().await.unwrap();
    let mut word = [0; 14];
    taken.connection.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"are you there?");
}

#[tokio::test]
async fn what_is_no_connection_is_not_taken_for_one() {
    let relay = relay();
    let taking = Taking::new(&relay).unwrap();
    let (_client, server) = connected();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let (connection, file) = (server.as_fd(), io::stdin());
    let forged: [(&[u8], &[BorrowedFd<'_>]); 9] = [
        (b"", &[connection]),
        (b"\x01\0\0\0", &[connection]),
        (b"\x02\0\0\0\0", &[connection]),
        (b"\x01\0\0\0\x02a", &[connection]),
        (b"\x01\0\0\0\x01ab", &[connection]),
        (b"\x01\0\0\0\0", &[]),
        (b"\x01\0\0\0\0", &[file.as_fd()]),
        (b"\x01\0\0\0\0", &[socket.as_fd()]),
        (b"\x01\0\0\0\0", &[connection, connection]),
    ];
    for (message, attached) in forged {
        forge(&relay, message, attached);
        let error = taking.take().await.unwrap_err();
        assert_eq!(
            error.kind(),
            io::ErrorKind::InvalidData,
            "{message:?}: {error}"
        );
    }
    assert_eq!(
        taking.try_take().unwrap_err().kind(),
        io::ErrorKind::WouldBlock
    );
    let giving = Giving::new(&relay).unwrap();
    giving.give(&server, b"and on").await.unwrap();
    assert_eq!(taking.take().await.unwrap().read, b"and on");
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_is_full_takes_a_connection_once_there_is_room() {
    let relay = relay();
    let (giving, taking) = (Giving::new(&relay).unwrap(), Taking::new(&relay).unwrap());
    let (_client, server) = connected();
    let read = vec![7; MOST_READ_BYTES / 2];
    let mut given = 0;
    while giving.give(&server, &read).await.is_ok() {
        given += 1;
    }
    assert!(given > 1);
    let next = async { giving.give(&server, b"the last").await.unwrap() };
    let room = async {
        for _ in 0..given {
            assert_eq!(taking.take().await.unwrap().read, read);
        }
        taking.take().await.unwrap().read
    };
    assert_eq!(tokio::join!(next, room).1, b"the last");
}
