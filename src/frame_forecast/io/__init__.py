"""Files of frames: one contract for every format, one file a format, chosen by content first and name second.

`streams.open_reader` and `streams.open_writer` go frame by frame, in memory that is flat in the length;
`clips.read` and `clips.write` take a whole clip. How to add a format is said in `base`.
"""
