/// Follows the frames of one direction (RFC 6455 §5.2) by their headers, however they are cut into pieces.
#[derive(Debug, Clone, Default)]
pub(crate) struct Follower {
    /// The begin of a header that has not come completely.
    header: [u8; LONGEST_HEADER],
    known: u8,
    /// What is still to come of the payload of a frame whose header is known.
    left: u64,
    /// Between the first and the last fragment of a message.
    fragmented: bool,
}

/// Where a direction may be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Between two frames: control frames may come here.
    Frame,
    /// Between two messages: anything may come here.
    Message,
}

impl Follower {
    /// Takes what has been sent, and says how many messages ended in it.
    pub(crate) fn pass(&mut self, mut bytes: &[u8]) -> u64 {
        let mut messages = 0;
        while !bytes.is_empty() {
            bytes = &bytes[self.step(bytes, &mut messages)..];
        }
        messages
    }

    /// How much of `bytes` may be sent before the direction is ended at the first place that is as wanted. `None`
    /// if there is no such place in it; all of it is taken then.
    pub(crate) fn pass_up_to(&mut self, end: End, bytes: &[u8]) -> Option<usize> {
        let mut passed = 0;
        while !self.is_at(end) {
            if passed == bytes.len() {
                return None;
            }
            passed += self.step(&bytes[passed..], &mut 0);
        }
        Some(passed)
    }

    pub(crate) fn is_at(&self, end: End) -> bool {
        let between_frames = self.known == 0 && self.left == 0;
        between_frames && (end == End::Frame || !self.fragmented)
    }

    /// Takes something of `bytes`, at most up to the end of a frame, and returns how much.
    fn step(&mut self, bytes: &[u8], messages: &mut u64) -> usize {
        if self.left > 0 {
            let taken =
                usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
            self.left -= taken as u64;
            return taken;
        }
        let Some(byte) = bytes.first() else { return 0 };
        self.header[usize::from(self.known)] = *byte;
        self.known += 1;
        if self.known >= 2 && self.known == self.header_length() {
            self.begin_payload(messages);
        }
        1
    }

    fn header_length(&self) -> u8 {
        let second = self.header[1];
        let length = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + length + if second & 0x80 == 0 { 0 } else { 4 }
    }

    fn begin_payload(&mut self, messages: &mut u64) {
        let [first, second, length @ ..] = self.header;
        self.left = match second & 0x7f {
            126 => u64::from(u16::from_be_bytes([length[0], length[1]])),
            127 => u64::from_be_bytes([
                length[0], length[1], length[2], length[3], length[4], length[5], length[6],
                length[7],
            ]),
            short => u64::from(short),
        };
        self.known = 0;
        let (is_last, is_control) = (first & 0x80 != 0, first & 0x08 != 0);
        if !is_control {
            self.fragmented = !is_last;
            *messages += u64::from(is_last);
        }
    }
}

/// Two bytes, eight of length, four of mask.
const LONGEST_HEADER: usize = 14;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame of so many bytes; the opcode says what it is.
    fn frame(opcode: u8, last: bool, masked: bool, length: usize) -> Vec<u8> {
        let mut frame = vec![opcode | if last { 0x80 } else { 0 }];
        let mask = if masked { 0x80 } else { 0 };
        match length {
            0..126 => frame.push(mask | length as u8),
            126..0x1_0000 => {
                frame.push(mask | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        if masked {
            frame.extend([0xff; 4]);
        }
        frame.extend(std::iter::repeat_n(0x88, length));
        frame
    }

    #[test]
    fn a_ping_between_fragments_ends_no_message() {
        let mut follower = Follower::default();
        assert_eq!(follower.pass(&frame(1, false, true, 3)), 0);
        assert!(follower.is_at(End::Frame) && !follower.is_at(End::Message));
        assert_eq!(follower.pass(&frame(9, true, true, 3)), 0);
        assert!(!follower.is_at(End::Message));
        assert_eq!(follower.pass(&frame(0, true, true, 0)), 1);
        assert!(follower.is_at(End::Message));
    }

    #[test]
    fn a_place_to_end_is_found_within_what_was_read() {
        let (first, second) = (frame(1, false, false, 200), frame(0, true, false, 5));
        let both = [&*first, &*second, &*frame(1, true, false, 9)].concat();
        let mut follower = Follower::default();
        assert_eq!(
            follower.pass_up_to(End::Frame, &both),
            Some(0),
            "nothing has begun"
        );
        follower.pass(&both[..1]);
        let place = |end| {
            follower
                .clone()
                .pass_up_to(end, &both[1..])
                .map(|place| place + 1)
        };
        assert_eq!(place(End::Frame), Some(first.len()));
        assert_eq!(place(End::Message), Some(first.len() + second.len()));
        assert_eq!(
            follower.pass_up_to(End::Frame, &both[1..first.len() - 1]),
            None
        );
        assert_eq!(
            follower.pass_up_to(End::Frame, &both[first.len() - 1..]),
            Some(1)
        );
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            frames in prop::collection::vec((any::<bool>(), any::<bool>(), any::<bool>(), prop_oneof![0..130usize, 65_530..65_540usize]), 0..6),
            cuts in prop::collection::vec(1..400usize, 1..20),
        ) {
            let (mut bytes, mut messages, mut ends) = (Vec::new(), 0, vec![0]);
            for (control, last, masked, length) in frames {
                let length = if control { length.min(125) } else { length };
                bytes.extend(frame(if control { 9 } else { 2 }, last || control, masked, length));
                messages += u64::from(!control && last);
                ends.push(bytes.len());
            }
            let (mut follower, mut seen, mut at) = (Follower::default(), 0, 0);
            for cut in cuts.iter().cycle() {
                if at == bytes.len() { break; }
                let to = bytes.len().min(at + cut);
                seen += follower.pass(&bytes[at..to]);
                at = to;
                prop_assert_eq!(follower.is_at(End::Frame), ends.contains(&at));
            }
            prop_assert_eq!(seen, messages);
        }
    }
}
