"""What tests share: real ranks, real servers, made-up data."""
