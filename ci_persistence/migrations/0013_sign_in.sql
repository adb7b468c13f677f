-- The place of sign-in's own; it is not here yet.
SELECT 1;
